//! Opaque newtypes over byte arrays, for hashes and ids.

/// Defines an opaque newtype over an array of bytes: `LEN`, `from_bytes`, `to_bytes`, `as_bytes`, and its hexadecimal
/// digits as `Display` and `Debug`. For the crates of this project.
#[doc(hidden)]
#[macro_export]
macro_rules! __opaque_bytes {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident($length:literal)) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        $visibility struct $name([u8; $length]);

        impl $name {
            /// The length in bytes.
            pub const LEN: usize = $length;

            /// The value with these bytes.
            #[inline]
            pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[inline]
            pub const fn to_bytes(self) -> [u8; Self::LEN] {
                self.0
            }

            /// The bytes, by reference.
            #[inline]
            pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
                &self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                self.0.iter().try_for_each(|byte| ::core::write!(f, "{byte:02x}"))
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(f, ::core::concat!(::core::stringify!($name), "({})"), self)
            }
        }
    };
}
