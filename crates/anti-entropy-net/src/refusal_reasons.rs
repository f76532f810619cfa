//! What the refusals of connections and of datagrams have in common.

/// Defines why something may be refused: an enum with a variant for each reason, and a struct with a counter for each.
macro_rules! refusal_reasons {
    (
        $(#[$reason_attribute:meta])* enum $Reason:ident;
        $(#[$counters_attribute:meta])* struct $Counters:ident;
        $($(#[$doc:meta])* $variant:ident $field:ident $text:literal;)+
    ) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $(#[$reason_attribute])*
        #[non_exhaustive]
        pub enum $Reason {
            $($(#[$doc])* $variant),+
        }

        impl std::fmt::Display for $Reason {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }

        $(#[$counters_attribute])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $Counters {
            $($(#[$doc])* pub $field: u64),+
        }

        impl $Counters {
            /// How many were refused for this reason.
            pub const fn count(&self, reason: $Reason) -> u64 {
                match reason { $($Reason::$variant => self.$field),+ }
            }

            pub(crate) fn add(&mut self, reason: $Reason) {
                match reason { $($Reason::$variant => self.$field += 1),+ }
            }

            /// All counters with their names, always in the same order.
            #[cfg(feature = "metrics")]
            pub(crate) fn by_cause(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),+]
            }
        }
    };
}

pub(crate) use refusal_reasons;
