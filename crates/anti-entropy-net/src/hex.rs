//! Hexadecimal digits, two for each byte.

#[cfg(any(feature = "tls", test))]
use std::fmt;

/// Writes bytes in lower-case digits.
#[cfg(any(feature = "tls", test))]
pub(crate) fn write(bytes: &[u8], f: &mut impl fmt::Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A character that is no hexadecimal digit, counted from 0; or the first one that is missing or too many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoDigit {
    #[cfg_attr(not(feature = "swim"), allow(dead_code, reason = "only keys are refused in such detail"))]
    pub(crate) at: usize,
}

/// Reads `N` bytes from exactly twice as many digits, small or capital.
pub(crate) fn read<const N: usize>(digits: impl IntoIterator<Item = u8>) -> Result<[u8; N], NoDigit> {
    let mut bytes = [0; N];
    let mut count = 0;
    for digit in digits {
        let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let (Some(value), Some(byte)) = (value, bytes.get_mut(count / 2)) else { return Err(NoDigit { at: count }) };
        *byte = *byte << 4 | value;
        count += 1;
    }
    if count == 2 * N { Ok(bytes) } else { Err(NoDigit { at: count }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_two_digits_a_byte() {
        assert_eq!(read(*b"00fFA9"), Ok([0x00, 0xFF, 0xA9]));
        for (text, at) in [("", 0), ("00ff", 4), ("00ffa", 5), ("00ffa9b", 6), ("00f-a9", 3)] {
            assert_eq!(read::<3>(text.bytes()), Err(NoDigit { at }), "{text}");
        }
    }
}
