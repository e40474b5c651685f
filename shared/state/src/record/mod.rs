//! Records as a program sees them: what a struct declares, how it is written to a row, and how it is read in place.
//!
//! `#[derive(Record)]` implements [`Record`] and makes a zero-copy reader (`MovieRef<'view>` for `Movie`). The derive
//! stays slim: it lists fields, and the traits here do the work.
//!
//! | trait | for |
//! | --- | --- |
//! | [`Value`] | one value: numbers, text, bytes, enums, [`Key`], components |
//! | [`Present`] | what a field holds: a value, a list, a set, a map |
//! | [`Field`] | the same, or `Option` of it |
//! | [`KeyValue`] | what can identify a root: also tuples of values |
//!
//! Rules: reading copies nothing and allocates nothing; a field is found by a slot of the [`Binding`], made once when
//! a program and a schema meet, off the read path; a written row is in the chain's numbers, not the program's.

mod adapter;
mod at;
pub(crate) mod bind;
mod collections;
mod declare;
mod declare_error;
mod field;
mod key;
mod key_serde;
mod packed;
mod sealed;
mod serialize;
mod slot;
mod value;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub use adapter::{Adapter, With};
pub use at::{RecordAt, Scope};
pub use bind::{BindError, BindProblem, Binding};
pub use collections::{Elements as ListIter, Entries as MapIter, List, Map, Set};
pub(crate) use declare::kind_of;
pub use declare::{FieldDeclaration, Registry, TypeDeclaration};
pub use declare_error::DeclareError;
pub use field::{Field, Present};
pub use key::{Key, KeyOf, KeyShape, KeyValue, text_key};
pub use packed::Packed;
pub use sealed::Sealed;
pub use slot::Slot;
pub use value::{Dedup, Element, Enum, MapKey, Ordered, Source, Value};
#[doc(hidden)]
pub use value::{compare_enum, is_variant, read_enum, variant_name, write_enum};
pub use write::{CellWriter, Interner, RecordWriter, RowWriter, WriteContext, WriteError};

pub use crate::schema::Declared;

use std::fmt::Debug;

use serde::Serialize;

/// A struct whose values are kept in a dataset. Only `#[derive(Record)]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a record",
    label = "not a record",
    note = "put #[derive(Record)] on it; add #[record(key = \"field\")] if it has an identity"
)]
pub trait Record: Sealed + Sized + 'static {
    /// The type's name in the dataset.
    #[doc(hidden)]
    const NAME: &'static str;
    /// The key's parts, each a path; empty for a component.
    #[doc(hidden)]
    const KEY: &'static [&'static [&'static str]];
    /// The zero-copy reader.
    type Ref<'v>: Copy + Debug + PartialEq + Serialize;

    /// Where this program keeps the type's number.
    #[doc(hidden)]
    fn slot() -> &'static Slot;
    /// Lists the fields, in their order.
    #[doc(hidden)]
    fn declare(declaration: &mut TypeDeclaration<'_>);
    /// Writes the fields, in the order in which they are declared.
    #[doc(hidden)]
    fn write(&self, writer: &mut RecordWriter<'_, '_>) -> Result<(), WriteError>;
    /// Whether a stored record is this one, down to the last bit, so that writing it would change nothing. A `false` may
    /// be wrong, a `true` never is.
    #[doc(hidden)]
    fn is_same(&self, at: RecordAt<'_>) -> bool;
    /// The reader for a record.
    #[doc(hidden)]
    fn view<'v>(at: RecordAt<'v>) -> Self::Ref<'v>;
    /// The record that a reader looks at.
    #[doc(hidden)]
    fn at<'v>(reader: Self::Ref<'v>) -> RecordAt<'v>;
    /// Copies the record into a struct.
    #[doc(hidden)]
    fn own(at: RecordAt<'_>) -> Self;
}

/// A record with a key: added, updated, deleted; referred to by `Key<T>`. Only `#[derive(Record)]` implements it, on a
/// struct with `#[record(key = "…")]`.
///
/// # Example
/// ```
/// use cenote_producer::{Record, Root};
///
/// #[derive(Record)]
/// #[record(key = "year, title")]
/// struct Movie {
///     year: u16,
///     title: String,
/// }
///
/// assert_eq!(Movie { year: 1995, title: "Heat".into() }.key(), (1995, "Heat"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a root: it has no key",
    label = "needs a key",
    note = "write #[record(key = \"field\")] on the struct `{Self}`",
    note = "a component is declared by the roots that hold it, and reached through them"
)]
pub trait Root: Record {
    /// What identifies it.
    type Key: KeyValue;

    /// The record's key.
    ///
    /// [Example](Root#example)
    fn key(&self) -> <Self::Key as KeyValue>::Borrowed<'_>;
}

/// A record without a key: part of others, stored once however many hold it. Only `#[derive(Record)]` implements it.
#[diagnostic::on_unimplemented(
    message = "a field of a record can't be `{Self}`",
    label = "not a value that a record can hold",
    note = "a struct with a key is a root: refer to it by Key<{Self}>",
    note = "a struct or enum of your own needs #[derive(Record)]",
    note = "nesting goes one level deep: put an inner list, set, map or Option into a component"
)]
pub trait Component: Record {}

/// Finds a field's type by its name, so that a key can lead through components.
#[diagnostic::on_unimplemented(
    message = "the key leads to a field that `{Self}` does not have",
    note = "each part of #[record(key = \"…\")] is a field, or a path to a field of a component: \"address.zip\""
)]
pub trait Named<const NAME: u64> {
    /// The field's type.
    type Of;
    /// The field.
    fn get(&self) -> &Self::Of;
}
