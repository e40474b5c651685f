//! A whole field: a value, a list, a set, a map, or `Option` of one of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};

use crate::schema::Shape;
use crate::segment::{Cell, Elements};

use super::bind::ValueBinding;
use super::{
    CellWriter, Element, FieldDeclaration, List, Map, MapKey, RecordWriter, Scope, Sealed, Set, Value, WriteError,
};

/// What a field holds when it is not `Option`.
#[diagnostic::on_unimplemented(
    message = "a field of a record can't be `{Self}`",
    label = "not a value, list, set or map that a record can hold",
    note = "a list of u8 is bytes; nesting goes one level deep: put an inner list, set, map or Option into a component",
    note = "sets and map keys are never floats"
)]
pub trait Present: Sealed + 'static {
    /// What a struct holds.
    type Owned;
    /// What a reader gets.
    type Ref<'v>: Copy + Debug + PartialEq;
    /// Whether a field of it may have `#[record(default)]`.
    #[doc(hidden)]
    const HAS_DEFAULT: bool;

    /// Declares what it is.
    #[doc(hidden)]
    fn declare(field: &mut FieldDeclaration<'_>) -> Shape;
    /// Writes its cell.
    #[doc(hidden)]
    fn write(value: &Self::Owned, cell: CellWriter<'_, '_, '_>) -> Result<(), WriteError>;
    /// Reads its cell in place.
    #[doc(hidden)]
    fn read<'v>(cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> Self::Ref<'v>;
    /// Whether the cell has the canonical bytes that `value` would be written with. A `false` may be wrong where a
    /// large set or map has another order: the caller then writes the value and compares the bytes.
    #[doc(hidden)]
    fn is_same<'v>(value: &Self::Owned, cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> bool;
    /// What an absent cell reads as; asked only where there is a default.
    #[doc(hidden)]
    fn absent<'v>() -> Self::Ref<'v>;
    /// A copy of what was read.
    #[doc(hidden)]
    fn own(value: Self::Ref<'_>) -> Self::Owned;
}

/// A field of a record.
#[diagnostic::on_unimplemented(
    message = "a field of a record can't be `{Self}`",
    label = "not a value, list, set or map that a record can hold, or Option of it",
    note = "a struct with a key is a root: refer to it by Key<{Self}>",
    note = "a struct or enum of your own needs #[derive(Record)]",
    note = "nesting goes one level deep: put an inner list, set, map or Option into a component",
    note = "sets and map keys are never floats"
)]
pub trait Field: Sealed + 'static {
    /// What a struct holds.
    type Owned;
    /// What a reader gets.
    type Ref<'v>: Copy + Debug + PartialEq;
    /// Whether it is an `Option`.
    #[doc(hidden)]
    const OPTIONAL: bool;
    /// Whether a field of it may have `#[record(default)]`.
    #[doc(hidden)]
    const HAS_DEFAULT: bool;

    /// Declares what it is.
    #[doc(hidden)]
    fn declare(field: &mut FieldDeclaration<'_>) -> Shape;
    /// Writes its cell, or none.
    #[doc(hidden)]
    fn write(value: &Self::Owned, index: usize, writer: &mut RecordWriter<'_, '_>) -> Result<(), WriteError>;
    /// Reads its cell in place.
    #[doc(hidden)]
    fn read<'v>(cell: Option<Cell<'v>>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> Self::Ref<'v>;
    /// As [`Present::is_same`]; an absent cell is the same as no value, and never as a default.
    #[doc(hidden)]
    fn is_same<'v>(
        value: &Self::Owned,
        cell: Option<Cell<'v>>,
        bindings: &'v [ValueBinding; 2],
        scope: Scope<'v>,
    ) -> bool;
    /// A copy of what was read.
    #[doc(hidden)]
    fn own(value: Self::Ref<'_>) -> Self::Owned;
}

impl<P: Present> Field for P {
    type Owned = P::Owned;
    type Ref<'v> = P::Ref<'v>;
    const OPTIONAL: bool = false;
    const HAS_DEFAULT: bool = P::HAS_DEFAULT;

    fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
        P::declare(field)
    }
    fn write(value: &P::Owned, index: usize, writer: &mut RecordWriter<'_, '_>) -> Result<(), WriteError> {
        writer.cell(index, |cell| P::write(value, cell))
    }
    #[inline(always)]
    fn read<'v>(cell: Option<Cell<'v>>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> P::Ref<'v> {
        match cell {
            Some(cell) => P::read(cell, bindings, scope),
            None => P::absent(),
        }
    }
    #[inline]
    fn is_same<'v>(
        value: &P::Owned,
        cell: Option<Cell<'v>>,
        bindings: &'v [ValueBinding; 2],
        scope: Scope<'v>,
    ) -> bool {
        cell.is_some_and(|cell| P::is_same(value, cell, bindings, scope))
    }
    fn own(value: P::Ref<'_>) -> P::Owned {
        P::own(value)
    }
}

impl<P: Present> Field for Option<P> {
    type Owned = Option<P::Owned>;
    type Ref<'v> = Option<P::Ref<'v>>;
    const OPTIONAL: bool = true;
    const HAS_DEFAULT: bool = true;

    fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
        P::declare(field)
    }
    fn write(value: &Option<P::Owned>, index: usize, writer: &mut RecordWriter<'_, '_>) -> Result<(), WriteError> {
        match value {
            Some(value) => writer.cell(index, |cell| P::write(value, cell)),
            None => Ok(()),
        }
    }
    #[inline(always)]
    fn read<'v>(cell: Option<Cell<'v>>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> Option<P::Ref<'v>> {
        cell.map(|cell| P::read(cell, bindings, scope))
    }
    fn is_same<'v>(
        value: &Option<P::Owned>,
        cell: Option<Cell<'v>>,
        bindings: &'v [ValueBinding; 2],
        scope: Scope<'v>,
    ) -> bool {
        match (value, cell) {
            (Some(value), Some(cell)) => P::is_same(value, cell, bindings, scope),
            (None, None) => true,
            _ => false,
        }
    }
    fn own(value: Option<P::Ref<'_>>) -> Option<P::Owned> {
        value.map(P::own)
    }
}

impl<V: Element> Present for Vec<V> {
    type Owned = Vec<V::Owned>;
    type Ref<'v> = List<'v, V>;
    const HAS_DEFAULT: bool = true;

    fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
        Shape::List(V::declare(field))
    }
    fn write(value: &Vec<V::Owned>, cell: CellWriter<'_, '_, '_>) -> Result<(), WriteError> {
        cell.list::<V>(value)
    }
    #[inline(always)]
    fn read<'v>(cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> List<'v, V> {
        List::new(cell.elements(), &bindings[0], scope)
    }
    fn is_same<'v>(value: &Vec<V::Owned>, cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> bool {
        are_same::<V>(value.iter(), cell.elements(), &bindings[0], scope)
    }
    fn absent<'v>() -> Self::Ref<'v> {
        List::EMPTY
    }
    fn own(value: List<'_, V>) -> Vec<V::Owned> {
        value.iter().map(V::own).collect()
    }
}

/// Whether these are the same values in the same order.
fn are_same<'a, 'v, V: Value>(
    values: impl ExactSizeIterator<Item = &'a V::Owned>,
    stored: Elements<'v>,
    binding: &'v ValueBinding,
    scope: Scope<'v>,
) -> bool {
    values.len() == stored.len()
        && values.enumerate().all(|(index, value)| V::is_same(value, (stored, index), binding, scope))
}

/// So many values are searched one by one if their order is not the dataset's.
const SEARCHED_MAX: usize = 32;

/// The index of this value in `stored`, `guess` first: a program's sets and maps have another order.
fn place_of<'v, V: Value>(
    value: &V::Owned,
    guess: usize,
    stored: Elements<'v>,
    binding: &'v ValueBinding,
    scope: Scope<'v>,
) -> Option<usize> {
    let others = if stored.len() <= SEARCHED_MAX { 0..stored.len() } else { 0..0 };
    std::iter::once(guess).chain(others).find(|at| V::is_same(value, (stored, *at), binding, scope))
}

/// Whether this place is free; takes it. Beyond those that are searched, places never meet.
fn is_free(taken: &mut u32, place: usize) -> bool {
    let bit = 1_u32.checked_shl(place as u32).unwrap_or(0);
    let free = *taken & bit == 0;
    *taken |= bit;
    free
}

macro_rules! set {
    ([$($generics:tt)*] $set:ty, $owned:ty) => {
        impl<$($generics)*> Present for $set {
            type Owned = $owned;
            type Ref<'v> = Set<'v, V>;
            const HAS_DEFAULT: bool = true;

            fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
                Shape::Set(V::declare(field))
            }
            fn write(value: &$owned, cell: CellWriter<'_, '_, '_>) -> Result<(), WriteError> {
                cell.set::<V>(value.iter())
            }
            #[inline(always)]
            fn read<'v>(cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> Set<'v, V> {
                Set::new(List::new(cell.elements(), &bindings[0], scope))
            }
            fn is_same<'v>(value: &$owned, cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> bool {
                let stored = cell.elements();
                // As many on both sides, and each found in a separate place: so both are equal.
                let (mut taken, mut values) = (0, value.iter().enumerate());
                value.len() == stored.len()
                    && values.all(|(at, value)| {
                        let place = place_of::<V>(value, at, stored, &bindings[0], scope);
                        place.is_some_and(|at| is_free(&mut taken, at))
                    })
            }
            fn absent<'v>() -> Self::Ref<'v> {
                Set::new(List::EMPTY)
            }
            fn own(value: Set<'_, V>) -> $owned {
                value.iter().map(V::own).collect()
            }
        }
    };
}

set!([V: Value<Owned: Ord>] BTreeSet<V>, BTreeSet<V::Owned>);
set!([V: Value<Owned: Eq + Hash>, S: BuildHasher + Default + 'static] HashSet<V, S>, HashSet<V::Owned, S>);

macro_rules! map {
    ([$($generics:tt)*] $map:ty, $owned:ty) => {
        impl<$($generics)*> Present for $map {
            type Owned = $owned;
            type Ref<'v> = Map<'v, K, V>;
            const HAS_DEFAULT: bool = true;

            fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
                let key = K::declare(field);
                Shape::Map(key, V::declare(field))
            }
            fn write(value: &$owned, cell: CellWriter<'_, '_, '_>) -> Result<(), WriteError> {
                cell.map::<K, V>(value.iter())
            }
            #[inline(always)]
            fn read<'v>(cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> Map<'v, K, V> {
                let (keys, values) = cell.entries();
                Map::new(List::new(keys, &bindings[0], scope), List::new(values, &bindings[1], scope))
            }
            fn is_same<'v>(value: &$owned, cell: Cell<'v>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> bool {
                let (keys, values) = cell.entries();
                value.len() == keys.len()
                    && value.iter().enumerate().all(|(at, (key, value))| {
                        let place = place_of::<K>(key, at, keys, &bindings[0], scope);
                        place.is_some_and(|at| V::is_same(value, (values, at), &bindings[1], scope))
                    })
            }
            fn absent<'v>() -> Self::Ref<'v> {
                Map::new(List::EMPTY, List::EMPTY)
            }
            fn own(value: Map<'_, K, V>) -> $owned {
                value.iter().map(|(key, value)| (K::own(key), V::own(value))).collect()
            }
        }
    };
}

map!([K: MapKey<Owned: Ord>, V: Value] BTreeMap<K, V>, BTreeMap<K::Owned, V::Owned>);
map!(
    [K: MapKey<Owned: Eq + Hash>, V: Value, S: BuildHasher + Default + 'static]
    HashMap<K, V, S>, HashMap<K::Owned, V::Owned, S>
);
