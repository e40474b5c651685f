//! Keys: what identifies a root, and references to roots that carry it.
//!
//! A key's canonical bytes are those of [`schema::KeyForm`](crate::schema::KeyForm). Look-ups take keys borrowed, so
//! that `view.get::<Movie>(42)` and `view.get::<Country>("nl")` allocate nothing.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use crate::keys::{KeyBuf, KeyRef};
use crate::row::{CellReader, Order, push_sized};
use crate::schema::ValueKind;
use crate::view::View;

use super::bind::ValueBinding;
use super::{Element, FieldDeclaration, Ordered, Root, Scope, Sealed, Source, Value, WriteContext, WriteError};

/// The form of a key's canonical bytes, known to the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShape {
    /// One integer or bool.
    Scalar {
        /// Whether it is ordered as a signed number.
        signed: bool,
    },
    /// One string or enum.
    Text,
    /// One byte field.
    Bytes,
    /// Several parts.
    Composite,
}

/// What can identify a root: integers, bool, String, bytes, enums, [`Key`], and tuples of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be a key",
    label = "not a key",
    note = "a key is made of integers, bool, String, Vec<u8>, enums and Key<T>; never of Option, floats, lists or components",
    note = "lead into a component with a path: #[record(key = \"address.zip\")]",
    note = "packed text can't be a key, which is read at every look-up: leave it plain"
)]
pub trait KeyValue: Sealed + Sized + 'static {
    /// The key as a look-up takes it.
    type Borrowed<'a>: Copy;
    /// Its form.
    #[doc(hidden)]
    const SHAPE: KeyShape;

    /// Lends it.
    #[doc(hidden)]
    fn borrow(&self) -> Self::Borrowed<'_>;
    /// Calls `look` with the canonical key.
    #[doc(hidden)]
    fn with<R>(key: Self::Borrowed<'_>, look: impl FnOnce(KeyRef<'_>) -> R) -> R;
    /// Appends it as a part of a key of several.
    #[doc(hidden)]
    fn write_part(key: Self::Borrowed<'_>, out: &mut Vec<u8>);
    /// Takes it off the front of the parts; none if they are of another form, or of a variant that isn't known.
    #[doc(hidden)]
    fn read_part<'a>(bytes: &mut &'a [u8]) -> Option<Self::Borrowed<'a>>;
    /// Reads it alone; none like `read_part`.
    #[doc(hidden)]
    fn read(key: KeyRef<'_>) -> Option<Self::Borrowed<'_>>;
}

macro_rules! scalar_key {
    ($signed:literal, $wide:ty: $($key:ty),*) => { $(
        impl KeyValue for $key {
            type Borrowed<'a> = $key;
            const SHAPE: KeyShape = KeyShape::Scalar { signed: $signed };

            #[inline]
            fn borrow(&self) -> $key {
                *self
            }
            #[inline(always)]
            fn with<R>(key: $key, look: impl FnOnce(KeyRef<'_>) -> R) -> R {
                look(KeyRef::Scalar(<$wide>::from(key) as u64))
            }
            fn write_part(key: $key, out: &mut Vec<u8>) {
                out.extend_from_slice(&<$wide>::from(key).to_le_bytes());
            }
            fn read_part(bytes: &mut &[u8]) -> Option<$key> {
                let (scalar, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                from_scalar(u64::from_le_bytes(*scalar) as $wide)
            }
            fn read(key: KeyRef<'_>) -> Option<$key> {
                match key {
                    KeyRef::Scalar(scalar) => from_scalar(scalar as $wide),
                    KeyRef::Bytes(_) => None,
                }
            }
        }
    )* };
}

scalar_key!(true, i64: i8, i16, i32, i64);
scalar_key!(false, u64: u8, u16, u32, u64);

fn from_scalar<W, K: TryFrom<W>>(scalar: W) -> Option<K> {
    scalar.try_into().ok()
}

impl KeyValue for bool {
    type Borrowed<'a> = bool;
    const SHAPE: KeyShape = KeyShape::Scalar { signed: false };

    fn borrow(&self) -> bool {
        *self
    }
    fn with<R>(key: bool, look: impl FnOnce(KeyRef<'_>) -> R) -> R {
        u8::with(u8::from(key), look)
    }
    fn write_part(key: bool, out: &mut Vec<u8>) {
        u8::write_part(u8::from(key), out);
    }
    fn read_part(bytes: &mut &[u8]) -> Option<bool> {
        u8::read_part(bytes).map(|scalar| scalar != 0)
    }
    fn read(key: KeyRef<'_>) -> Option<bool> {
        <u8 as KeyValue>::read(key).map(|scalar| scalar != 0)
    }
}

fn read_sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut reader = CellReader::new(bytes);
    let part = reader.sized()?;
    *bytes = reader.rest();
    Some(part)
}

macro_rules! byte_key {
    ($owned:ty, $borrowed:ty, $shape:ident, $key:ident => $as_bytes:expr, $bytes:ident => $from_bytes:expr) => {
        impl KeyValue for $owned {
            type Borrowed<'a> = &'a $borrowed;
            const SHAPE: KeyShape = KeyShape::$shape;

            #[inline]
            fn borrow(&self) -> &$borrowed {
                self
            }
            #[inline(always)]
            fn with<R>($key: &$borrowed, look: impl FnOnce(KeyRef<'_>) -> R) -> R {
                look(KeyRef::Bytes($as_bytes))
            }
            fn write_part($key: &$borrowed, out: &mut Vec<u8>) {
                push_sized($as_bytes, out);
            }
            fn read_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a $borrowed> {
                let $bytes = read_sized(bytes)?;
                $from_bytes
            }
            fn read(key: KeyRef<'_>) -> Option<&$borrowed> {
                match key {
                    KeyRef::Scalar(_) => None,
                    KeyRef::Bytes($bytes) => $from_bytes,
                }
            }
        }
    };
}

byte_key!(String, str, Text, key => key.as_bytes(), bytes => std::str::from_utf8(bytes).ok());
byte_key!(Vec<u8>, [u8], Bytes, key => key, bytes => Some(bytes));

/// What the derive needs to make an enum a key: its variant's name as text.
#[doc(hidden)]
pub mod text_key {
    use super::{KeyRef, KeyValue};

    pub fn with<R>(name: &str, look: impl FnOnce(KeyRef<'_>) -> R) -> R {
        String::with(name, look)
    }
    pub fn write_part(name: &str, out: &mut Vec<u8>) {
        String::write_part(name, out);
    }
    pub fn read_part<E: super::super::Enum>(bytes: &mut &[u8]) -> Option<E> {
        String::read_part(bytes).and_then(variant)
    }
    pub fn read<E: super::super::Enum>(key: KeyRef<'_>) -> Option<E> {
        <String as KeyValue>::read(key).and_then(variant)
    }
    fn variant<E: super::super::Enum>(name: &str) -> Option<E> {
        let place = E::VARIANTS.iter().position(|known| *known == name).map(|place| place as u32);
        place.or(E::OTHER).map(E::from_number)
    }
}

macro_rules! tuple_key {
    ($($part:ident $at:tt),*) => {
        impl<$($part: KeyValue),*> KeyValue for ($($part,)*) {
            type Borrowed<'a> = ($($part::Borrowed<'a>,)*);
            const SHAPE: KeyShape = KeyShape::Composite;

            fn borrow(&self) -> Self::Borrowed<'_> {
                ($(self.$at.borrow(),)*)
            }
            fn with<R>(key: Self::Borrowed<'_>, look: impl FnOnce(KeyRef<'_>) -> R) -> R {
                let mut bytes = Vec::with_capacity(64);
                Self::write_part(key, &mut bytes);
                look(KeyRef::Bytes(&bytes))
            }
            fn write_part(key: Self::Borrowed<'_>, out: &mut Vec<u8>) {
                $($part::write_part(key.$at, out);)*
            }
            fn read_part<'a>(bytes: &mut &'a [u8]) -> Option<Self::Borrowed<'a>> {
                Some(($($part::read_part(bytes)?,)*))
            }
            fn read(key: KeyRef<'_>) -> Option<Self::Borrowed<'_>> {
                match key {
                    KeyRef::Scalar(_) => None,
                    KeyRef::Bytes(mut bytes) => Self::read_part(&mut bytes).filter(|_| bytes.is_empty()),
                }
            }
        }
    };
}

tuple_key!(A 0, B 1);
tuple_key!(A 0, B 1, C 2);
tuple_key!(A 0, B 1, C 2, D 3);
tuple_key!(A 0, B 1, C 2, D 3, E 4);
tuple_key!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_key!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_key!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// A reference to a root record by its key. The record may not exist.
///
/// # Example
/// ```
/// use cenote_consumer::{Key, Record, View};
/// # #[derive(Record)]
/// # #[record(key = "year, title")]
/// # struct Movie { year: u16, title: String }
///
/// let key: Key<Movie> = Key::new((1995, "Heat"));
/// assert_eq!(key, Key::of(&Movie { year: 1995, title: "Heat".into() }));
/// assert_eq!(key.value(), Some((1995, "Heat")));
/// assert_eq!(key.lend().to_owned(), key);
///
/// fn title<'v>(key: &Key<Movie>, view: &'v View) -> Option<&'v str> {
///     Some(key.get(view)?.title())
/// }
/// ```
pub struct Key<T: Root> {
    canonical: KeyBuf,
    root: PhantomData<fn() -> T>,
}

/// A [`Key`] as a reader sees it: it borrows the view.
///
/// # Example
/// ```
/// use cenote_consumer::{Key, KeyOf, Record, View};
/// # #[derive(Record)]
/// # #[record(key = "year, title")]
/// # struct Movie { year: u16, title: String }
///
/// let key: Key<Movie> = Key::new((1995, "Heat"));
/// let lent: KeyOf<'_, Movie> = key.lend();
/// assert_eq!(lent.value(), Some((1995, "Heat")));
/// assert_eq!(lent.to_owned(), key);
///
/// fn title<'v>(key: KeyOf<'_, Movie>, view: &'v View) -> Option<&'v str> {
///     // The same by names, which take the key in canonical form.
///     assert_eq!(view.named("Movie").ok()?.get(key.canonical()).is_some(), key.get(view).is_some());
///     Some(key.get(view)?.title())
/// }
/// ```
pub struct KeyOf<'v, T: Root> {
    canonical: KeyRef<'v>,
    root: PhantomData<fn() -> T>,
}

impl<T: Root> Key<T> {
    /// The key of the record that this identifies: `Key::new(42)`, `Key::new("nl")`, `Key::new((2024, "nl"))`.
    ///
    /// [Example](Key#example)
    #[must_use]
    pub fn new(key: <T::Key as KeyValue>::Borrowed<'_>) -> Key<T> {
        T::Key::with(key, |key| KeyOf::new(key).to_owned())
    }

    /// The key of this record.
    ///
    /// [Example](Key#example)
    #[must_use]
    pub fn of(record: &T) -> Key<T> {
        Key::new(record.key())
    }

    /// Its value; none if it has an enum variant that this program does not know.
    ///
    /// [Example](Key#example)
    #[must_use]
    pub fn value(&self) -> Option<<T::Key as KeyValue>::Borrowed<'_>> {
        <T::Key as KeyValue>::read(self.as_key_ref())
    }

    /// The record in this view, if it is there.
    ///
    /// [Example](Key#example)
    #[must_use]
    pub fn get<'v>(&self, view: &'v View) -> Option<T::Ref<'v>> {
        view.get_key(self.lend())
    }
}

impl<T: Root> Key<T> {
    /// The same, borrowed.
    ///
    /// [Example](Key#example)
    #[must_use]
    pub fn lend(&self) -> KeyOf<'_, T> {
        KeyOf::new(self.as_key_ref())
    }

    fn as_key_ref(&self) -> KeyRef<'_> {
        self.canonical.as_ref()
    }
}

impl<'v, T: Root> KeyOf<'v, T> {
    #[inline]
    pub(crate) fn new(canonical: KeyRef<'v>) -> KeyOf<'v, T> {
        KeyOf { canonical, root: PhantomData }
    }

    /// The canonical key.
    ///
    /// [Example](KeyOf#example)
    #[must_use]
    pub fn canonical(self) -> KeyRef<'v> {
        self.canonical
    }

    /// The same, owned.
    ///
    /// [Example](KeyOf#example)
    #[must_use]
    pub fn to_owned(self) -> Key<T> {
        Key { canonical: self.canonical.to_buf(), root: PhantomData }
    }
}

impl<'v, T: Root> KeyOf<'v, T> {
    /// Its value; none if it has an enum variant that this program does not know.
    ///
    /// [Example](KeyOf#example)
    #[must_use]
    pub fn value(self) -> Option<<T::Key as KeyValue>::Borrowed<'v>> {
        <T::Key as KeyValue>::read(self.canonical)
    }

    /// The record in this view, if it is there.
    ///
    /// [Example](KeyOf#example)
    #[must_use]
    pub fn get(self, view: &View) -> Option<T::Ref<'_>> {
        view.get_key(self)
    }
}

impl<T: Root> Value for Key<T> {
    type Owned = Key<T>;
    type Ref<'v> = KeyOf<'v, T>;
    const VARIABLE: bool = !matches!(T::Key::SHAPE, KeyShape::Scalar { .. });
    const ORDER: Order = match T::Key::SHAPE {
        KeyShape::Scalar { signed: true } => Order::Signed,
        KeyShape::Scalar { signed: false } => Order::Unsigned,
        KeyShape::Text | KeyShape::Bytes | KeyShape::Composite => Order::Bytewise,
    };
    const HAS_DEFAULT: bool = false;

    fn declare(field: &mut FieldDeclaration<'_>) -> ValueKind {
        field.key::<T>()
    }
    fn write(
        value: &Key<T>,
        _: &ValueBinding,
        out: &mut Vec<u8>,
        context: &mut WriteContext<'_>,
    ) -> Result<(), WriteError> {
        match &value.canonical {
            KeyBuf::Scalar(scalar) => context.append(out, &scalar.to_le_bytes()),
            KeyBuf::Bytes(bytes) => context.append(out, bytes),
        }
    }
    #[inline(always)]
    fn read<'v, S: Source<'v>>(source: S, _: &'v ValueBinding, _: Scope<'v>) -> KeyOf<'v, T> {
        KeyOf::new(match T::Key::SHAPE {
            KeyShape::Scalar { .. } => KeyRef::Scalar(source.scalar()),
            KeyShape::Text => KeyRef::Bytes(source.text().as_bytes()),
            KeyShape::Bytes | KeyShape::Composite => KeyRef::Bytes(source.bytes()),
        })
    }
    fn is_same<'v, S: Source<'v>>(value: &Key<T>, source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> bool {
        <Self as Value>::read(source, binding, scope) == value.lend()
    }
    fn absent<'v>() -> Self::Ref<'v> {
        unreachable!("a Key has no default; the derive and the binding refuse it")
    }
    fn own(value: KeyOf<'_, T>) -> Key<T> {
        value.to_owned()
    }
}

impl<T: Root> Element for Key<T> {}
crate::__one_value!([T: Root] Key<T>, crate::__derive);

impl<T: Root> Ordered for Key<T> {
    fn compare_at<'v, S: Source<'v>>(source: S, wanted: KeyOf<'_, T>, _: &ValueBinding) -> Ordering {
        match (T::Key::SHAPE, wanted.canonical) {
            (KeyShape::Scalar { signed: true }, KeyRef::Scalar(scalar)) => {
                source.scalar().cast_signed().cmp(&scalar.cast_signed())
            }
            (KeyShape::Scalar { .. }, KeyRef::Scalar(scalar)) => source.scalar().cmp(&scalar),
            (KeyShape::Text, KeyRef::Bytes(bytes)) => source.text().as_bytes().cmp(bytes),
            (_, KeyRef::Bytes(bytes)) => source.bytes().cmp(bytes),
            (_, KeyRef::Scalar(_)) => unreachable!("keys of one type have one form"),
        }
    }
}

impl<T: Root> KeyValue for Key<T> {
    type Borrowed<'a> = KeyOf<'a, T>;
    const SHAPE: KeyShape = T::Key::SHAPE;

    fn borrow(&self) -> KeyOf<'_, T> {
        self.lend()
    }
    fn with<R>(key: KeyOf<'_, T>, look: impl FnOnce(KeyRef<'_>) -> R) -> R {
        look(key.canonical)
    }
    fn write_part(key: KeyOf<'_, T>, out: &mut Vec<u8>) {
        match (T::Key::SHAPE, key.canonical) {
            (_, KeyRef::Scalar(scalar)) => out.extend_from_slice(&scalar.to_le_bytes()),
            // Its parts are among ours.
            (KeyShape::Composite, KeyRef::Bytes(bytes)) => out.extend_from_slice(bytes),
            (_, KeyRef::Bytes(bytes)) => push_sized(bytes, out),
        }
    }
    fn read_part<'a>(bytes: &mut &'a [u8]) -> Option<KeyOf<'a, T>> {
        let canonical = match T::Key::SHAPE {
            KeyShape::Scalar { .. } => {
                let (scalar, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                KeyRef::Scalar(u64::from_le_bytes(*scalar))
            }
            KeyShape::Text | KeyShape::Bytes => KeyRef::Bytes(read_sized(bytes)?),
            KeyShape::Composite => {
                let all = *bytes;
                T::Key::read_part(bytes)?;
                KeyRef::Bytes(&all[..all.len() - bytes.len()])
            }
        };
        Some(KeyOf::new(canonical))
    }
    fn read(key: KeyRef<'_>) -> Option<KeyOf<'_, T>> {
        Some(KeyOf::new(key))
    }
}

// By hand: a derive would ask the same of T.

impl<T: Root> Clone for Key<T> {
    fn clone(&self) -> Self {
        Key { canonical: self.canonical.clone(), root: PhantomData }
    }
}

impl<T: Root> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl<T: Root> Eq for Key<T> {}

impl<T: Root> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Root> Ord for Key<T> {
    /// By canonical bytes: total, and the same in every program; not always the order of the values.
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical.cmp(&other.canonical)
    }
}

impl<T: Root> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl<T: Root> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lend().fmt(f)
    }
}

impl<T: Root> Clone for KeyOf<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Root> Copy for KeyOf<'_, T> {}

impl<T: Root> PartialEq for KeyOf<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        match (self.canonical, other.canonical) {
            (KeyRef::Scalar(left), KeyRef::Scalar(right)) => left == right,
            (KeyRef::Bytes(left), KeyRef::Bytes(right)) => left == right,
            _ => false,
        }
    }
}

impl<T: Root> Eq for KeyOf<'_, T> {}

impl<T: Root> PartialEq<Key<T>> for KeyOf<'_, T> {
    fn eq(&self, other: &Key<T>) -> bool {
        *self == other.lend()
    }
}

impl<T: Root> fmt::Debug for KeyOf<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.canonical {
            KeyRef::Scalar(scalar) => write!(f, "Key({scalar})"),
            KeyRef::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => write!(f, "Key({text:?})"),
                Err(_) => write!(f, "Key({bytes:?})"),
            },
        }
    }
}
