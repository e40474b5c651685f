//! Keys: what a look-up brings, and how a row's key is read and compared with it.
//!
//! The plan is made once per type and schema, for rows of any kind: [`KeyRow`] and [`Components`] are where cells come
//! from. A key of one plain field, which is nearly every key, is compared in place; one of several parts, or through
//! components, is put together from the row first.

use std::borrow::Borrow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ids::{Ordinal, TypeId};
use crate::layout::{Form, Layout};
use crate::row::{CellReader, RowRef, push_sized, scalar_of};
use crate::schema::{KeyError, KeyPart, KeyPath, Schema, ValueKind};
use crate::segment::RowAt;

/// A key in canonical form.
///
/// # Example
/// ```
/// use cenote_consumer::dynamic::{KeyBuf, KeyRef};
///
/// assert_eq!(KeyRef::Scalar(42).to_buf(), KeyBuf::Scalar(42));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRef<'a> {
    /// One integer or bool.
    Scalar(u64),
    /// One string, enum (its variant's name) or byte field; or several parts: see
    /// [`KeyForm`](crate::schema::KeyForm).
    Bytes(&'a [u8]),
}

/// A key in canonical form that owns its bytes.
///
/// # Example
/// ```
/// use cenote_consumer::dynamic::{KeyBuf, KeyRef};
///
/// let key: KeyBuf = KeyRef::Bytes(b"nl").to_buf();
/// assert_eq!(key.as_ref(), KeyRef::Bytes(b"nl"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyBuf {
    /// One integer or bool.
    Scalar(u64),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl KeyBuf {
    /// The same, borrowed.
    ///
    /// [Example](KeyBuf#example)
    #[must_use]
    pub fn as_ref(&self) -> KeyRef<'_> {
        match self {
            KeyBuf::Scalar(scalar) => KeyRef::Scalar(*scalar),
            KeyBuf::Bytes(bytes) => KeyRef::Bytes(bytes),
        }
    }
}

impl<'a> KeyRef<'a> {
    /// The seeded hash by which the key index finds it. Authors of records do not know the seed.
    #[doc(hidden)]
    #[inline(always)]
    #[must_use]
    pub fn hash(self, seed: u64) -> u64 {
        match self {
            KeyRef::Scalar(scalar) => {
                // A folded multiply: every bit of the key reaches every part of the hash that the index uses.
                let wide = u128::from(scalar ^ seed) * u128::from(seed.rotate_left(32) | 1 | 1 << 63);
                let folded = (wide as u64) ^ (wide >> 64) as u64;
                folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ folded >> 29
            }
            KeyRef::Bytes(bytes) => xxh3_64_with_seed(bytes, seed),
        }
    }

    /// Its parts, of these kinds (see [`Schema::key_leaves`]), each as a key alone; fewer if its bytes end too early.
    ///
    /// ```
    /// use cenote_consumer::dynamic::KeyRef;
    /// use cenote_consumer::schema::ValueKind;
    ///
    /// let key = [17_u64.to_le_bytes().as_slice(), &2_u32.to_le_bytes(), b"nl"].concat();
    /// let kinds = [ValueKind::UInt(8), ValueKind::String];
    /// let parts: Vec<_> = KeyRef::Bytes(&key).parts(&kinds).collect();
    /// assert_eq!(parts, [KeyRef::Scalar(17), KeyRef::Bytes(b"nl")]);
    /// ```
    pub fn parts(self, leaves: &[impl Borrow<ValueKind>]) -> impl Iterator<Item = KeyRef<'a>> {
        let is_alone = leaves.len() == 1;
        let mut rest = match self {
            KeyRef::Scalar(_) => CellReader::new(&[]),
            KeyRef::Bytes(bytes) => CellReader::new(bytes),
        };
        leaves.iter().map_while(move |leaf| match leaf.borrow() {
            _ if is_alone => Some(self),
            ValueKind::Bool | ValueKind::Int(_) | ValueKind::UInt(_) => {
                rest.take(8).map(|part| KeyRef::Scalar(scalar_of(part)))
            }
            _ => rest.sized().map(KeyRef::Bytes),
        })
    }

    /// Calls `use_bytes` with the key as one byte string. Keys of one type have one form, so that these are equal where
    /// the keys are.
    #[doc(hidden)]
    pub fn with_bytes<R>(self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            KeyRef::Scalar(scalar) => use_bytes(&scalar.to_le_bytes()),
            KeyRef::Bytes(bytes) => use_bytes(bytes),
        }
    }

    /// The same, owned.
    ///
    /// [Example](KeyRef#example)
    #[must_use]
    pub fn to_buf(self) -> KeyBuf {
        match self {
            KeyRef::Scalar(scalar) => KeyBuf::Scalar(scalar),
            KeyRef::Bytes(bytes) => KeyBuf::Bytes(bytes.to_vec()),
        }
    }
}

/// A row that a key is read from, by field: a stored one, or one in canonical form.
pub trait KeyRow<'r>: Copy {
    /// A number: an integer, a bool, an enum's number or a component's ordinal.
    fn scalar(self, field: usize) -> u64;
    /// The bytes of a text.
    fn text(self, field: usize) -> &'r [u8];
    /// Bytes.
    fn bytes(self, field: usize) -> &'r [u8];
}

/// Where the records are that rows refer to: a key may lead through them.
pub trait Components<'r>: Copy {
    /// A row, of a root or of a component.
    type Row: KeyRow<'r>;

    /// The row of a component; none if no segment has it.
    fn component(self, id: TypeId, ordinal: Ordinal) -> Option<Self::Row>;
}

impl<'r> KeyRow<'r> for RowAt<'r> {
    #[inline]
    fn scalar(self, field: usize) -> u64 {
        self.cell(field).scalar()
    }
    #[inline]
    fn text(self, field: usize) -> &'r [u8] {
        self.cell(field).text().as_bytes()
    }
    #[inline]
    fn bytes(self, field: usize) -> &'r [u8] {
        self.cell(field).bytes()
    }
}

impl<'r> KeyRow<'r> for RowRef<'r> {
    fn scalar(self, field: usize) -> u64 {
        scalar_of(self.bytes(field))
    }
    fn text(self, field: usize) -> &'r [u8] {
        self.bytes(field)
    }
    /// A key's fields always have a value; nothing, if a row breaks that.
    fn bytes(self, field: usize) -> &'r [u8] {
        self.cell(field).unwrap_or_default()
    }
}

/// How a type's key is read from its rows, and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    direct: Direct,
    paths: Vec<KeyPath>,
    /// The kinds of its parts, and of the parts of keys in it.
    leaves: Vec<ValueKind>,
}

/// The short way to compare a key of one plain field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direct {
    /// A number in this slot.
    Scalar(usize),
    /// Text in this field.
    Text(usize),
    /// There is none.
    No,
}

/// A part's value.
enum PartValue<'r> {
    Scalar(u64),
    /// Bytes that have their length before them among other parts.
    Sized(&'r [u8]),
    /// Parts of this key, each with its length.
    Parts(&'r [u8]),
}

impl KeyPlan {
    /// The plan for a root type of this layout.
    ///
    /// # Errors
    /// If the type has no key, or one that can't be one.
    pub fn new(schema: &Schema, id: TypeId, layout: &Layout) -> Result<KeyPlan, KeyError> {
        let paths = schema.resolve_key(id)?;
        let leaves = schema.key_leaves(id)?.into_iter().cloned().collect();
        Ok(KeyPlan { direct: direct(&paths, layout), paths, leaves })
    }

    /// The fields of the root that its key depends on.
    pub fn fields(&self) -> impl Iterator<Item = usize> {
        self.paths.iter().map(KeyPath::first_field)
    }

    /// The slot of a key that is one number.
    #[inline(always)]
    pub(crate) fn scalar_slot(&self) -> Option<usize> {
        match self.direct {
            Direct::Scalar(slot) => Some(slot),
            Direct::Text(_) | Direct::No => None,
        }
    }

    /// Whether the row has this key.
    #[must_use]
    pub fn matches<'r>(
        &self,
        row: RowAt<'r>,
        key: KeyRef<'_>,
        components: impl Components<'r, Row = RowAt<'r>>,
    ) -> bool {
        match (self.direct, key) {
            (Direct::Scalar(slot), KeyRef::Scalar(scalar)) => row.slot(slot) == scalar,
            (Direct::Text(field), KeyRef::Bytes(bytes)) => row.cell(field).text().as_bytes() == bytes,
            _ => self.with_key(row, components, |found| found == key),
        }
    }

    /// Hands the row's key to `use_key`, without copying a key of one part.
    pub fn with_key<'r, C: Components<'r>, R>(
        &self,
        row: C::Row,
        components: C,
        use_key: impl FnOnce(KeyRef<'_>) -> R,
    ) -> R {
        use_key(self.read(row, components, &mut Vec::new()))
    }

    /// The row's key. One of several parts is put together in `buffer`, which is overwritten.
    pub fn read<'k, 'r: 'k, C: Components<'r>>(
        &'k self,
        row: C::Row,
        components: C,
        buffer: &'k mut Vec<u8>,
    ) -> KeyRef<'k> {
        if let [path] = self.paths.as_slice() {
            return match read_part(path, row, components) {
                PartValue::Scalar(scalar) => KeyRef::Scalar(scalar),
                PartValue::Sized(bytes) | PartValue::Parts(bytes) => KeyRef::Bytes(bytes),
            };
        }
        buffer.clear();
        for path in &self.paths {
            match read_part(path, row, components) {
                PartValue::Scalar(scalar) => buffer.extend_from_slice(&scalar.to_le_bytes()),
                PartValue::Sized(bytes) => push_sized(bytes, buffer),
                PartValue::Parts(bytes) => buffer.extend_from_slice(bytes),
            }
        }
        KeyRef::Bytes(buffer)
    }

    /// A key of the type for people: `17`, `nl`, `nl, 17`.
    #[must_use]
    pub fn display(&self, key: KeyRef<'_>) -> String {
        let mut parts = key.parts(&self.leaves);
        let shown = self.leaves.iter().map(|leaf| match (leaf, parts.next()) {
            (_, None) => "?".to_owned(),
            (ValueKind::Bool, Some(KeyRef::Scalar(scalar))) => (scalar != 0).to_string(),
            (ValueKind::Int(_), Some(KeyRef::Scalar(scalar))) => scalar.cast_signed().to_string(),
            (_, Some(KeyRef::Scalar(scalar))) => scalar.to_string(),
            (ValueKind::Bytes, Some(KeyRef::Bytes(bytes))) => hex(bytes),
            (_, Some(KeyRef::Bytes(bytes))) => String::from_utf8_lossy(bytes).into_owned(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// Reads one part. `'k` is the plan's, whose names an enum's part borrows.
fn read_part<'k, 'r: 'k, C: Components<'r>>(path: &'k KeyPath, row: C::Row, components: C) -> PartValue<'k> {
    let component = |id, scalar| components.component(id, Ordinal(u32::try_from(scalar).ok()?));
    let mut at = row;
    for (field, id) in &path.through {
        match component(*id, at.scalar(*field)) {
            Some(next) => at = next,
            // Only a state that breaks its invariants gets here; an empty part matches no honest key.
            None => return PartValue::Sized(&[]),
        }
    }
    match &path.part {
        KeyPart::Scalar => PartValue::Scalar(at.scalar(path.field)),
        KeyPart::Text => PartValue::Sized(at.text(path.field)),
        KeyPart::Bytes => PartValue::Sized(at.bytes(path.field)),
        KeyPart::Composite => PartValue::Parts(at.bytes(path.field)),
        KeyPart::Dedup(id) => PartValue::Sized(component(*id, at.scalar(path.field)).map_or(&[], |row| row.text(0))),
        KeyPart::Name(names) => {
            let name = usize::try_from(at.scalar(path.field)).ok().and_then(|index| names.get(index));
            PartValue::Sized(name.map_or(&[], |name| name.as_bytes()))
        }
    }
}

fn direct(paths: &[KeyPath], layout: &Layout) -> Direct {
    let [KeyPath { through, field, part }] = paths else { return Direct::No };
    match (part, &layout.columns[*field].form) {
        _ if !through.is_empty() => Direct::No,
        (KeyPart::Scalar, Form::Scalar { slot, .. }) => Direct::Scalar(*slot),
        (KeyPart::Text, Form::Text(_)) => Direct::Text(*field),
        _ => Direct::No,
    }
}

/// Bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or_default()).collect()
}

/// The bytes in hexadecimal digits; none if these are others, or an odd number of them.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
