//! A cell: the sum of some symbols.

use super::symbol::Symbol;

/// The sum of those symbols of a set, or of the difference of two sets, that fall into one cell.
///
/// Symbols and checksums are added by XOR. The number of symbols is kept modulo 256, which is enough for a decoder to
/// see whether only one is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    key: u64,
    fingerprint: u64,
    checksum: u16,
    count: u8,
}

impl Cell {
    /// The length of an encoded cell in bytes.
    pub const LEN: usize = 19;

    /// Encodes the cell: the sum of the symbols, most significant byte first, the sum of the checksums, the count.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.key.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.fingerprint.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.checksum.to_be_bytes());
        bytes[18] = self.count;
        bytes
    }

    /// Decodes a cell. All bytes are valid.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [k0, k1, k2, k3, k4, k5, k6, k7, f0, f1, f2, f3, f4, f5, f6, f7, c0, c1, count] = bytes;
        Self {
            key: u64::from_be_bytes([k0, k1, k2, k3, k4, k5, k6, k7]),
            fingerprint: u64::from_be_bytes([f0, f1, f2, f3, f4, f5, f6, f7]),
            checksum: u16::from_be_bytes([c0, c1]),
            count,
        }
    }

    /// Whether the cell is empty: no symbol is left in it.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The count, as far as it is known: between -128 and 127.
    pub(super) fn signed_count(&self) -> i8 {
        i8::from_ne_bytes([self.count])
    }

    /// Puts symbols in, as many as the sign says: 1, or 255 for -1, which takes one out.
    #[inline]
    pub(super) fn add(&mut self, symbol: Symbol, checksum: u16, sign: u8) {
        self.key ^= symbol.key;
        self.fingerprint ^= symbol.fingerprint;
        self.checksum ^= checksum;
        self.count = self.count.wrapping_add(sign);
    }

    /// What this cell holds beyond the other.
    pub(super) fn minus(&self, other: &Self) -> Self {
        Self {
            key: self.key ^ other.key,
            fingerprint: self.fingerprint ^ other.fingerprint,
            checksum: self.checksum ^ other.checksum,
            count: self.count.wrapping_sub(other.count),
        }
    }

    /// The symbol that is left, with its sign and what the cell has for its checksum, if going by the count there may
    /// be just one.
    pub(super) fn only(&self) -> Option<(Symbol, u8, u16)> {
        matches!(self.count, ONE | MINUS_ONE).then_some((
            Symbol { key: self.key, fingerprint: self.fingerprint },
            self.count,
            self.checksum,
        ))
    }
}

/// The sign of a symbol that is put in.
pub(super) const ONE: u8 = 1;
/// The sign of a symbol that is taken out.
pub(super) const MINUS_ONE: u8 = u8::MAX;

/// Puts a symbol into those of the cells from `start` on that it is in, or takes it out.
#[inline]
pub(super) fn toggle(cells: &mut [Cell], start: usize, symbol: Symbol, sign: u8) {
    let (checksum, indices) = symbol.spread();
    for index in indices {
        if index >= start {
            match cells.get_mut(index - start) {
                Some(cell) => cell.add(symbol, checksum, sign),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory goal (1.2 bytes an entry) rests on it.
    #[test]
    fn cells_are_small() {
        assert_eq!(size_of::<Cell>(), 24);
    }

    #[test]
    fn what_is_put_in_can_be_taken_out() {
        let symbol = Symbol { key: 1, fingerprint: 2 };
        let mut cells = [Cell::default(); 40];
        toggle(&mut cells, 0, symbol, ONE);
        assert_eq!(cells[0].only().map(|(only, sign, _)| (only, sign)), Some((symbol, ONE)));
        let mut behind = [Cell::default(); 30];
        toggle(&mut behind, 10, symbol, ONE);
        assert_eq!(behind, cells[10..]);
        toggle(&mut cells, 0, symbol, MINUS_ONE);
        assert!(cells.iter().all(Cell::is_zero));
    }
}
