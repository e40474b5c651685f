//! How much of a named value is printed and serialized.
//!
//! Components are shared, so a few of them, each with two references to the next, hold more paths than can ever be
//! printed. So what is shown of the components within a record ends at a depth and at a number of values, and says where
//! it ended: in the place of a component, or at the end of a list, stands a text that begins with `…`.
//!
//! Rule: a record's own fields are always shown in full.

use std::cell::Cell;
use std::fmt::{self, Debug, Display};

use super::{NamedList, NamedMap, NamedRecord, NamedValue};

/// Components within components that are shown, and are read again by common parsers of JSON.
const DEPTH_MAX: usize = 32;
/// Values that are shown of all components within a record, or within a value that is shown alone. Less in this crate's
/// tests, so that they can pass it.
const VALUES_MAX: usize = if cfg!(test) { 1_000 } else { 1 << 22 };

/// A value on its way out.
#[derive(Clone, Copy)]
pub(super) struct Shown<'s, T> {
    pub(super) value: T,
    /// How many components it is within.
    depth: usize,
    /// Values that may still be shown.
    left: &'s Cell<usize>,
}

/// What is shown in the place of what is not.
pub(super) enum Cut<'v> {
    Depth(NamedRecord<'v>),
    Values(NamedRecord<'v>),
    More(usize),
}

impl Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Depth(record) => {
                write!(f, "… {} {}: within {DEPTH_MAX} components", record.schema().name, record.ordinal())
            }
            Cut::Values(record) => {
                write!(f, "… {} {}: after {VALUES_MAX} values", record.schema().name, record.ordinal())
            }
            Cut::More(count) => write!(f, "… {count} more"),
        }
    }
}

impl Debug for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Shows a value, or a record, as if it stood alone.
pub(super) fn alone<T: Copy, R>(value: T, show: impl FnOnce(Shown<'_, T>) -> R) -> R {
    show(Shown { value, depth: 0, left: &Cell::new(VALUES_MAX) })
}

impl<'s, T: Copy> Shown<'s, T> {
    pub(super) fn with<U>(self, value: U) -> Shown<'s, U> {
        Shown { value, depth: self.depth, left: self.left }
    }

    /// Counts a value that is shown.
    fn count(self) {
        if self.depth > 0 {
            self.left.set(self.left.get().saturating_sub(1));
        }
    }

    /// Whether the next of several values is not shown any more.
    fn ends_at(self, next: &NamedValue<'_>) -> bool {
        self.left.get() == 0 && (self.depth > 0 || matches!(next, NamedValue::Record(_)))
    }
}

impl<'s, 'v> Shown<'s, NamedRecord<'v>> {
    /// The record's fields, if they are to be shown.
    pub(super) fn fields(self) -> impl ExactSizeIterator<Item = (&'v str, Shown<'s, NamedValue<'v>>)> {
        self.value.fields().map(move |(name, value)| {
            self.count();
            (name, self.with(value))
        })
    }
}

impl<'s, 'v> Shown<'s, NamedValue<'v>> {
    /// The component that the value is, one deeper; or what is shown in its place.
    pub(super) fn component(self, record: NamedRecord<'v>) -> Result<Shown<'s, NamedRecord<'v>>, Cut<'v>> {
        match (self.depth, self.left.get()) {
            (DEPTH_MAX.., _) => Err(Cut::Depth(record)),
            (_, 0) => Err(Cut::Values(record)),
            _ => Ok(Shown { value: record, depth: self.depth + 1, left: self.left }),
        }
    }
}

impl<'s, 'v> Shown<'s, NamedList<'v>> {
    /// Calls `show` with each value that is to be shown. Returns what is shown in the place of the rest.
    pub(super) fn each<E>(
        self,
        mut show: impl FnMut(Shown<'s, NamedValue<'v>>) -> Result<(), E>,
    ) -> Result<Option<Cut<'v>>, E> {
        for (index, value) in self.value.iter().enumerate() {
            if self.ends_at(&value) {
                return Ok(Some(Cut::More(self.value.len() - index)));
            }
            self.count();
            show(self.with(value))?;
        }
        Ok(None)
    }
}

impl<'s, 'v> Shown<'s, NamedMap<'v>> {
    /// As of a list.
    pub(super) fn each<E>(
        self,
        mut show: impl FnMut(NamedValue<'v>, Shown<'s, NamedValue<'v>>) -> Result<(), E>,
    ) -> Result<Option<Cut<'v>>, E> {
        for (index, (key, value)) in self.value.iter().enumerate() {
            if self.ends_at(&value) {
                return Ok(Some(Cut::More(self.value.len() - index)));
            }
            self.count();
            show(key, self.with(value))?;
        }
        Ok(None)
    }
}

impl Debug for Shown<'_, NamedRecord<'_>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct(&self.value.schema().name);
        self.fields().for_each(|(name, value)| {
            fields.field(name, &value);
        });
        fields.finish()
    }
}

impl Debug for Shown<'_, NamedList<'_>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        let Ok(cut) = self.each(|value| {
            list.entry(&value);
            Ok::<(), std::convert::Infallible>(())
        });
        list.entries(cut).finish()
    }
}

impl Debug for Shown<'_, NamedMap<'_>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        let Ok(cut) = self.each(|key, value| {
            map.entry(&key, &value);
            Ok::<(), std::convert::Infallible>(())
        });
        map.entries(cut.map(|cut| (cut, "not shown"))).finish()
    }
}

impl Debug for Shown<'_, NamedValue<'_>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = |name: &str, field: &dyn Debug| f.debug_tuple(name).field(field).finish();
        match self.value {
            NamedValue::Absent => f.write_str("Absent"),
            NamedValue::Bool(value) => tuple("Bool", &value),
            NamedValue::Int(value) => tuple("Int", &value),
            NamedValue::UInt(value) => tuple("UInt", &value),
            NamedValue::F32(value) => tuple("F32", &value),
            NamedValue::F64(value) => tuple("F64", &value),
            NamedValue::Text(text) => tuple("Text", &text),
            NamedValue::Packed(text) => tuple("Packed", &text),
            NamedValue::Bytes(bytes) => tuple("Bytes", &bytes),
            NamedValue::Variant(name) => tuple("Variant", &name),
            NamedValue::Key(key) => tuple("Key", &key),
            NamedValue::Record(record) => match self.component(record) {
                Ok(record) => tuple("Record", &record),
                Err(cut) => tuple("Record", &cut),
            },
            NamedValue::List(list) => tuple("List", &self.with(list)),
            NamedValue::Set(set) => tuple("Set", &self.with(set)),
            NamedValue::Map(map) => tuple("Map", &self.with(map)),
        }
    }
}

macro_rules! debug_alone {
    ($($name:ident),*) => { $(
        /// What is within other components is shown to a depth and up to a number of values.
        impl Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                alone(*self, |shown| shown.fmt(f))
            }
        }
    )* };
}
debug_alone!(NamedRecord, NamedValue, NamedList, NamedMap);
