//! What reserves the traits of records for this crate and its derive.
//!
//! A user's type has them by `#[derive(Record)]` alone. So a trait may get another method, and the derive writes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::segment::Cell;

use super::{Dedup, Key, Packed, Root};

/// The supertrait that only this crate and generated code implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't implement Cenote's traits by hand",
    label = "put #[derive(Record)] on it",
    note = "a type becomes a record, a value or a key by #[derive(Record)] alone"
)]
pub trait Sealed {}

macro_rules! sealed {
    ($($sealed:ty),*) => { $(impl Sealed for $sealed {})* };
}
sealed!(bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, String, str, [u8], Dedup, Packed, Cell<'_>);

impl<T> Sealed for Option<T> {}
impl<T> Sealed for Vec<T> {}
impl<T> Sealed for BTreeSet<T> {}
impl<T, S> Sealed for HashSet<T, S> {}
impl<K, V> Sealed for BTreeMap<K, V> {}
impl<K, V, S> Sealed for HashMap<K, V, S> {}
impl<T: Root> Sealed for Key<T> {}

// Keys of several parts. An element of a list is two parts, too: the list and an index.
macro_rules! sealed_tuples {
    ($($($part:ident)*;)*) => { $(impl<$($part),*> Sealed for ($($part,)*) {})* };
}
sealed_tuples! {
    A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
}
