//! Reading canonical bytes: cells that this process wrote, and cells that a program brings as bytes.
//!
//! One reader serves both. It returns `None` if bytes end too early, and never reads past their end (I9). A caller
//! whose bytes this process wrote or checked has an `expect` with that reason.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use crate::ids::{Ordinal, TypeId};

use super::form::scalar_of;
use super::{CellForm, ElementForm, LIST_ELEMENTS_MAX};

/// Walks canonical bytes from the front.
#[derive(Clone, Copy, Debug)]
pub struct CellReader<'a> {
    rest: &'a [u8],
}

/// What makes a cell's bytes unfit for its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Its bytes are not those of a value, or of several, of this kind.
    Bytes,
    /// A set or a map is not sorted, or holds a value or a key twice.
    Order,
    /// A reference to a component that does not exist.
    Dangling(TypeId, Ordinal),
}

impl<'a> CellReader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> CellReader<'a> {
        CellReader { rest: bytes }
    }

    /// Whether all bytes were taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All bytes that were not taken.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// A count or a length.
    pub fn u32(&mut self) -> Option<u32> {
        let (four, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*four))
    }

    /// Bytes with their length before them.
    pub fn sized(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        self.take(len)
    }

    /// An element: of so many bytes, or with its length before it.
    #[inline]
    pub fn element(&mut self, width: Option<usize>) -> Option<&'a [u8]> {
        match width {
            Some(width) => self.take(width),
            None => self.sized(),
        }
    }
}

impl CellForm {
    /// Checks a cell whose bytes come from outside. `exists` returns whether a component has this ordinal.
    ///
    /// ```
    /// # use cenote_state::row::{CellForm, Defect, ElementForm};
    /// let set = CellForm::Set(ElementForm::Unsigned(4));
    /// let cell = |numbers: [u64; 2]| {
    ///     let [first, second] = numbers.map(u64::to_le_bytes);
    ///     [2_u32.to_le_bytes().as_slice(), &first, &second].concat()
    /// };
    /// assert_eq!(set.check(&cell([3, 9]), &mut |_, _| false), Ok(()));
    /// assert_eq!(set.check(&cell([9, 3]), &mut |_, _| false), Err(Defect::Order));
    /// assert_eq!(set.check(&cell([3, 1 << 32]), &mut |_, _| false), Err(Defect::Bytes));
    /// ```
    ///
    /// # Errors
    /// The first [`Defect`].
    pub fn check(&self, cell: &[u8], exists: &mut impl FnMut(TypeId, Ordinal) -> bool) -> Result<(), Defect> {
        match self {
            CellForm::One(form) => form.check(cell, exists),
            CellForm::List(form) => check_elements(&[form], false, cell, exists),
            CellForm::Set(form) => check_elements(&[form], true, cell, exists),
            CellForm::Map(key, value) => check_elements(&[key, value], true, cell, exists),
        }
    }
}

/// Checks a count and as many entries, each a value for each of `forms`; the first is the key.
fn check_elements(
    forms: &[&ElementForm],
    is_sorted: bool,
    cell: &[u8],
    exists: &mut impl FnMut(TypeId, Ordinal) -> bool,
) -> Result<(), Defect> {
    let mut reader = CellReader::new(cell);
    let count = reader.u32().ok_or(Defect::Bytes)?;
    if usize::try_from(count).is_ok_and(|count| count > LIST_ELEMENTS_MAX) {
        return Err(Defect::Bytes);
    }
    let mut before: Option<&[u8]> = None;
    for _ in 0..count {
        let mut key = None;
        for form in forms {
            let value = reader.element(form.width()).ok_or(Defect::Bytes)?;
            form.check(value, exists)?;
            key.get_or_insert((value, form.order()));
        }
        let Some((key, order)) = key else { continue };
        if is_sorted && before.is_some_and(|before| order.compare(before, key).is_ge()) {
            return Err(Defect::Order);
        }
        before = Some(key);
    }
    if reader.is_empty() { Ok(()) } else { Err(Defect::Bytes) }
}

impl ElementForm {
    fn check(&self, bytes: &[u8], exists: &mut impl FnMut(TypeId, Ordinal) -> bool) -> Result<(), Defect> {
        if self.width().is_some_and(|width| bytes.len() != width) {
            return Err(Defect::Bytes);
        }
        let is_sound = match self {
            ElementForm::Bool => scalar_of(bytes) <= 1,
            ElementForm::Signed(width) => {
                let (number, spare) = (scalar_of(bytes).cast_signed(), spare_bits(*width));
                number.wrapping_shl(spare).wrapping_shr(spare) == number
            }
            ElementForm::Unsigned(width) => {
                let (number, spare) = (scalar_of(bytes), spare_bits(*width));
                number.wrapping_shl(spare).wrapping_shr(spare) == number
            }
            ElementForm::Variant(count) => scalar_of(bytes) < u64::from(*count),
            ElementForm::F32 | ElementForm::F64 | ElementForm::Bytes => true,
            ElementForm::Component(id) => {
                let ordinal = Ordinal(u32::try_from(scalar_of(bytes)).map_err(|_| Defect::Bytes)?);
                return if exists(*id, ordinal) { Ok(()) } else { Err(Defect::Dangling(*id, ordinal)) };
            }
            ElementForm::Text => std::str::from_utf8(bytes).is_ok(),
            ElementForm::Parts(parts) => {
                let mut reader = CellReader::new(bytes);
                for part in parts {
                    part.check(reader.element(part.width()).ok_or(Defect::Bytes)?, exists)?;
                }
                reader.is_empty()
            }
        };
        if is_sound { Ok(()) } else { Err(Defect::Bytes) }
    }
}

/// Bits of a scalar that an integer of so many bytes leaves unused.
fn spare_bits(bytes: u8) -> u32 {
    u64::BITS.saturating_sub(u32::from(bytes).saturating_mul(8))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element() -> impl Strategy<Value = ElementForm> {
        let width = prop_oneof![Just(1), Just(2), Just(4), Just(8)];
        let leaf = prop_oneof![
            Just(ElementForm::Bool),
            width.clone().prop_map(ElementForm::Signed),
            width.prop_map(ElementForm::Unsigned),
            (0..4_u32).prop_map(ElementForm::Variant),
            Just(ElementForm::F32),
            Just(ElementForm::F64),
            Just(ElementForm::Component(TypeId(0))),
            Just(ElementForm::Text),
            Just(ElementForm::Bytes),
        ];
        let parts = proptest::collection::vec(leaf.clone(), 2..4).prop_map(|parts| ElementForm::Parts(parts.into()));
        prop_oneof![8 => leaf, 1 => parts]
    }

    fn cell_form() -> impl Strategy<Value = CellForm> {
        prop_oneof![
            element().prop_map(CellForm::One),
            element().prop_map(CellForm::List),
            element().prop_map(CellForm::Set),
            (element(), element()).prop_map(|(key, value)| CellForm::Map(key, value)),
        ]
    }

    /// Mostly small numbers, so that counts and lengths fit what follows now and then.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![6 => Just(0), 3 => 0..9_u8, 1 => any::<u8>()], 0..48)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// I9: no bytes panic; and of those that pass, every element is read again, in order.
        #[test]
        fn any_bytes_are_checked(form in cell_form(), bytes in bytes()) {
            let passed = form.check(&bytes, &mut |_, ordinal| ordinal.0 < 3).is_ok();
            let (elements, is_sorted) = match &form {
                CellForm::One(_) => return Ok(()),
                CellForm::List(element) => (vec![element], false),
                CellForm::Set(element) => (vec![element], true),
                CellForm::Map(key, value) => (vec![key, value], true),
            };
            if !passed {
                return Ok(());
            }
            let mut reader = CellReader::new(&bytes);
            let mut keys = Vec::new();
            for _ in 0..reader.u32().expect("a count was checked") {
                let values: Option<Vec<_>> = elements.iter().map(|form| reader.element(form.width())).collect();
                keys.extend(values.expect("elements were checked").first().copied());
            }
            prop_assert!(reader.is_empty());
            let order = elements.iter().map(|form| form.order()).next().expect("there is one");
            prop_assert!(!is_sorted || keys.is_sorted_by(|left, right| order.compare(left, right).is_lt()));
        }
    }

    #[test]
    fn keys_of_several_parts_are_checked_part_by_part() {
        let form = CellForm::One(ElementForm::Parts([ElementForm::Unsigned(1), ElementForm::Text].into()));
        let key = |number: u64, text: &[u8]| {
            let length = u32::try_from(text.len()).expect("it is short").to_le_bytes();
            [number.to_le_bytes().as_slice(), &length, text].concat()
        };
        let check = |bytes: &[u8]| form.check(bytes, &mut |_, _| false);
        assert_eq!(check(&key(7, b"nl")), Ok(()));
        assert_eq!(check(&key(256, b"nl")), Err(Defect::Bytes));
        assert_eq!(check(&key(7, &[0xFF])), Err(Defect::Bytes));
        assert_eq!(check(&[key(7, b"nl"), vec![0]].concat()), Err(Defect::Bytes));
        assert_eq!(check(&7_u64.to_le_bytes()), Err(Defect::Bytes));
    }
}
