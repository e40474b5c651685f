//! One value: how it is declared, written in canonical form, read in place.
//!
//! Implemented for every kind of value; the derive adds enums, and components by way of [`Component`].

use std::cmp::Ordering;
use std::fmt::Debug;
use std::ops::Range;

use crate::row::Order;
use crate::schema::ValueKind;
use crate::segment::{Cell, Elements};

use super::bind::{ABSENT, ValueBinding};
use super::{Component, FieldDeclaration, Scope, Sealed, WriteContext, WriteError};

/// One value of a field, a list, a set or a map.
#[diagnostic::on_unimplemented(
    message = "a field of a record can't hold `{Self}`",
    label = "not a value that a record can hold",
    note = "values are bool, i8 to i64, u8 to u64, f32, f64, String, Vec<u8>, fieldless enums, Key<T> and components",
    note = "nesting goes one level deep: put an inner list, set, map or Option into a component"
)]
pub trait Value: Sealed + 'static {
    /// What a struct holds.
    type Owned;
    /// What a reader gets: a copy of a number, a borrow of anything else.
    type Ref<'v>: Copy + Debug + PartialEq;
    /// Whether elements have their length before them.
    #[doc(hidden)]
    const VARIABLE: bool;
    /// The order of sets of these, and of maps with these as keys, on canonical bytes.
    #[doc(hidden)]
    const ORDER: Order;
    /// Whether a field of it can have `#[record(default)]`.
    #[doc(hidden)]
    const HAS_DEFAULT: bool;

    /// Declares what it is.
    #[doc(hidden)]
    fn declare(field: &mut FieldDeclaration<'_>) -> ValueKind;
    /// Appends its canonical bytes (see [`row`](crate::row)).
    ///
    /// # Errors
    /// If the record passes a limit, or the chain's schema lacks an enum variant.
    #[doc(hidden)]
    fn write(
        value: &Self::Owned,
        binding: &ValueBinding,
        out: &mut Vec<u8>,
        context: &mut WriteContext<'_>,
    ) -> Result<(), WriteError>;
    /// Reads it in place.
    #[doc(hidden)]
    fn read<'v, S: Source<'v>>(source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> Self::Ref<'v>;
    /// Prefetches what these elements will be read from, so that the cache misses of neighbours overlap. Only values that
    /// lead to other rows have something to prefetch.
    #[doc(hidden)]
    #[inline(always)]
    fn prefetch<'v>(_elements: Elements<'v>, _range: Range<usize>, _binding: &'v ValueBinding, _scope: Scope<'v>) {}
    /// Whether the stored value has the canonical bytes that `value` would be written with.
    #[doc(hidden)]
    fn is_same<'v, S: Source<'v>>(value: &Self::Owned, source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> bool;
    /// What an absent value reads as; called only if there is a default.
    #[doc(hidden)]
    fn absent<'v>() -> Self::Ref<'v>;
    /// A copy of what was read.
    #[doc(hidden)]
    fn own(value: Self::Ref<'_>) -> Self::Owned;
}

/// A value that a list can hold: all of them, but `u8`, whose lists are bytes.
#[diagnostic::on_unimplemented(
    message = "a list can't hold `{Self}`",
    label = "not an element of a list",
    note = "nesting goes one level deep: put an inner list, set, map or Option into a component",
    note = "a struct with a key is a root: refer to it by Key<{Self}>"
)]
pub trait Element: Value {}

/// A value that can be searched for: anything but floats, components and deduplicated text.
pub trait Ordered: Value {
    /// How the stored value compares to `wanted`.
    fn compare_at<'v, S: Source<'v>>(source: S, wanted: Self::Ref<'_>, binding: &ValueBinding) -> Ordering;

    /// Whether different stored values may read as `wanted`: those are not next to each other where values are sorted.
    #[doc(hidden)]
    #[must_use]
    fn is_scattered(_wanted: Self::Ref<'_>) -> bool {
        false
    }
}

/// A value that a map can be sorted by: bool, integers, enums, String.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the key of a map",
    label = "not a key of a map",
    note = "maps go from bool, integers, enums or String to values; make a list of components of anything else"
)]
pub trait MapKey: Ordered {}

/// A place that a value is read from: a cell, or an element of one.
pub trait Source<'v>: Sealed + Copy {
    /// A number.
    fn scalar(self) -> u64;
    /// Text.
    fn text(self) -> &'v str;
    /// Bytes.
    fn bytes(self) -> &'v [u8];
}

impl<'v> Source<'v> for Cell<'v> {
    #[inline(always)]
    fn scalar(self) -> u64 {
        Cell::scalar(self)
    }
    #[inline(always)]
    fn text(self) -> &'v str {
        Cell::text(self)
    }
    #[inline(always)]
    fn bytes(self) -> &'v [u8] {
        Cell::bytes(self)
    }
}

impl<'v> Source<'v> for (Elements<'v>, usize) {
    #[inline(always)]
    fn scalar(self) -> u64 {
        self.0.scalar(self.1)
    }
    #[inline(always)]
    fn text(self) -> &'v str {
        self.0.text(self.1)
    }
    #[inline(always)]
    fn bytes(self) -> &'v [u8] {
        self.0.bytes(self.1)
    }
}

/// Makes a [`Value`] the whole of a field as well. The derive does the same for enums.
#[doc(hidden)]
#[macro_export]
macro_rules! __one_value {
    ([$($generics:tt)*] $value:ty, $record:path) => {
        const _: () = {
            use $record as record;
            impl<$($generics)*> record::Present for $value {
                type Owned = <$value as record::Value>::Owned;
                type Ref<'v> = <$value as record::Value>::Ref<'v>;
                const HAS_DEFAULT: bool = <$value as record::Value>::HAS_DEFAULT;
                fn declare(field: &mut record::FieldDeclaration<'_>) -> record::Shape {
                    record::Shape::One(<$value as record::Value>::declare(field))
                }
                fn write(value: &<$value as record::Value>::Owned, cell: record::CellWriter<'_, '_, '_>) -> ::core::result::Result<(), record::WriteError> {
                    cell.one::<$value>(value)
                }
                #[inline(always)]
                fn read<'v>(
                    cell: record::Cell<'v>,
                    bindings: &'v [record::ValueBinding; 2],
                    scope: record::Scope<'v>,
                ) -> <$value as record::Value>::Ref<'v> {
                    <$value as record::Value>::read(cell, &bindings[0], scope)
                }
                #[inline]
                fn is_same<'v>(
                    value: &<$value as record::Value>::Owned,
                    cell: record::Cell<'v>,
                    bindings: &'v [record::ValueBinding; 2],
                    scope: record::Scope<'v>,
                ) -> bool {
                    <$value as record::Value>::is_same(value, cell, &bindings[0], scope)
                }
                fn absent<'v>() -> <$value as record::Value>::Ref<'v> {
                    <$value as record::Value>::absent()
                }
                fn own(value: <$value as record::Value>::Ref<'_>) -> <$value as record::Value>::Owned {
                    <$value as record::Value>::own(value)
                }
            }
        };
    };
}

macro_rules! number {
    ($number:ty, $kind:expr, $value:ident => $to_scalar:expr, $scalar:ident => $from_scalar:expr, $order:ident) => {
        impl Value for $number {
            type Owned = $number;
            type Ref<'v> = $number;
            const VARIABLE: bool = false;
            const ORDER: Order = Order::$order;
            const HAS_DEFAULT: bool = true;
            fn declare(field: &mut FieldDeclaration<'_>) -> ValueKind {
                field.plain($kind)
            }
            fn write(
                value: &$number,
                _: &ValueBinding,
                out: &mut Vec<u8>,
                _: &mut WriteContext<'_>,
            ) -> Result<(), WriteError> {
                let $value = *value;
                out.extend_from_slice(&$to_scalar.to_le_bytes());
                Ok(())
            }
            #[inline(always)]
            fn read<'v, S: Source<'v>>(source: S, _: &'v ValueBinding, _: Scope<'v>) -> $number {
                let $scalar = source.scalar();
                $from_scalar
            }
            #[inline]
            fn is_same<'v, S: Source<'v>>(value: &$number, source: S, _: &'v ValueBinding, _: Scope<'v>) -> bool {
                let $value = *value;
                source.scalar() == $to_scalar as u64
            }
            fn absent<'v>() -> Self::Ref<'v> {
                <$number>::default()
            }
            fn own(value: $number) -> $number {
                value
            }
        }
        $crate::__one_value!([] $number, $crate::__derive);
    };
}

macro_rules! integer {
    ($number:ty, $kind:ident, $wide:ty, $order:ident) => {
        number!(
            $number, ValueKind::$kind(size_of::<$number>() as u8),
            value => <$wide>::from(value), scalar => scalar as $number, $order
        );
        impl Ordered for $number {
            fn compare_at<'v, S: Source<'v>>(source: S, wanted: $number, _: &ValueBinding) -> Ordering {
                (source.scalar() as $wide).cmp(&<$wide>::from(wanted))
            }
        }
    };
}

integer!(i8, Int, i64, Signed);
integer!(i16, Int, i64, Signed);
integer!(i32, Int, i64, Signed);
integer!(i64, Int, i64, Signed);
integer!(u8, UInt, u64, Unsigned);
integer!(u16, UInt, u64, Unsigned);
integer!(u32, UInt, u64, Unsigned);
integer!(u64, UInt, u64, Unsigned);
number!(bool, ValueKind::Bool, value => u64::from(value), scalar => scalar != 0, Unsigned);
// By bits, so that every NaN survives.
number!(f32, ValueKind::F32, value => value.to_bits(), scalar => f32::from_bits(scalar as u32), Unsigned);
number!(f64, ValueKind::F64, value => value.to_bits(), scalar => f64::from_bits(scalar), Unsigned);

impl Ordered for bool {
    fn compare_at<'v, S: Source<'v>>(source: S, wanted: bool, _: &ValueBinding) -> Ordering {
        (source.scalar() != 0).cmp(&wanted)
    }
}

macro_rules! map_keys {
    ($($value:ty),*) => { $(impl MapKey for $value {})* };
}
map_keys!(bool, i8, i16, i32, i64, u8, u16, u32, u64, String);

macro_rules! elements {
    ($($value:ty),*) => { $(impl Element for $value {})* };
}
elements!(bool, i8, i16, i32, i64, u16, u32, u64, f32, f64, String, Vec<u8>, Dedup);

macro_rules! heap {
    ($owned:ty, $borrowed:ty, $kind:ident, $read:ident, $as_bytes:ident, $empty:expr) => {
        impl Value for $owned {
            type Owned = $owned;
            type Ref<'v> = &'v $borrowed;
            const VARIABLE: bool = true;
            const ORDER: Order = Order::Bytewise;
            const HAS_DEFAULT: bool = true;
            fn declare(field: &mut FieldDeclaration<'_>) -> ValueKind {
                field.plain(ValueKind::$kind)
            }
            fn write(
                value: &$owned,
                _: &ValueBinding,
                out: &mut Vec<u8>,
                context: &mut WriteContext<'_>,
            ) -> Result<(), WriteError> {
                context.append(out, value.$as_bytes())
            }
            #[inline(always)]
            fn read<'v, S: Source<'v>>(source: S, _: &'v ValueBinding, _: Scope<'v>) -> &'v $borrowed {
                source.$read()
            }
            #[inline]
            fn is_same<'v, S: Source<'v>>(value: &$owned, source: S, _: &'v ValueBinding, _: Scope<'v>) -> bool {
                source.$read() == value
            }
            fn absent<'v>() -> Self::Ref<'v> {
                $empty
            }
            fn own(value: &$borrowed) -> $owned {
                value.to_owned()
            }
        }
        impl Ordered for $owned {
            fn compare_at<'v, S: Source<'v>>(source: S, wanted: &$borrowed, _: &ValueBinding) -> Ordering {
                source.$read().cmp(wanted)
            }
        }
        $crate::__one_value!([] $owned, $crate::__derive);
    };
}

heap!(String, str, String, text, as_bytes, "");
heap!(Vec<u8>, [u8], Bytes, bytes, as_slice, &[]);

/// A String under `#[record(dedup)]`: each text is kept once.
#[derive(Debug)]
pub enum Dedup {}

impl Value for Dedup {
    type Owned = String;
    type Ref<'v> = &'v str;
    const VARIABLE: bool = false;
    const ORDER: Order = Order::Unsigned;
    const HAS_DEFAULT: bool = true;
    fn declare(field: &mut FieldDeclaration<'_>) -> ValueKind {
        field.dedup()
    }
    fn write(
        value: &String,
        binding: &ValueBinding,
        out: &mut Vec<u8>,
        context: &mut WriteContext<'_>,
    ) -> Result<(), WriteError> {
        let ordinal = context.dedup(value, binding)?;
        out.extend_from_slice(&ordinal.0.to_le_bytes());
        Ok(())
    }
    #[inline(always)]
    fn read<'v, S: Source<'v>>(source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> &'v str {
        scope.dedup(binding, source.scalar())
    }
    #[inline]
    fn is_same<'v, S: Source<'v>>(value: &String, source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> bool {
        scope.dedup(binding, source.scalar()) == value
    }
    fn absent<'v>() -> Self::Ref<'v> {
        ""
    }
    fn own(value: &str) -> String {
        value.to_owned()
    }
}
crate::__one_value!([] Dedup, crate::__derive);

impl<T: Component> Value for T {
    type Owned = T;
    type Ref<'v> = T::Ref<'v>;
    const VARIABLE: bool = false;
    const ORDER: Order = Order::Unsigned;
    const HAS_DEFAULT: bool = false;
    fn declare(field: &mut FieldDeclaration<'_>) -> ValueKind {
        field.component::<T>()
    }
    fn write(
        value: &T,
        binding: &ValueBinding,
        out: &mut Vec<u8>,
        context: &mut WriteContext<'_>,
    ) -> Result<(), WriteError> {
        let ordinal = context.component(value, binding)?;
        out.extend_from_slice(&ordinal.0.to_le_bytes());
        Ok(())
    }
    #[inline(always)]
    fn read<'v, S: Source<'v>>(source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> T::Ref<'v> {
        T::view(scope.component(binding, source.scalar()))
    }
    #[inline]
    fn prefetch<'v>(elements: Elements<'v>, range: Range<usize>, binding: &'v ValueBinding, scope: Scope<'v>) {
        scope.prefetch_components(binding, range.map(|index| elements.scalar(index)));
    }
    #[inline]
    fn is_same<'v, S: Source<'v>>(value: &T, source: S, binding: &'v ValueBinding, scope: Scope<'v>) -> bool {
        value.is_same(scope.component(binding, source.scalar()))
    }
    fn absent<'v>() -> Self::Ref<'v> {
        unreachable!("a component has no default; the derive and the binding refuse it")
    }
    fn own(value: T::Ref<'_>) -> T {
        T::own(T::at(value))
    }
}

impl<T: Component> Element for T {}
crate::__one_value!([T: Component] T, crate::__derive);

/// A fieldless enum; the derive implements it.
pub trait Enum: Sealed + Copy + Debug + PartialEq + 'static {
    /// The names, in the order of declaration.
    const VARIANTS: &'static [&'static str];
    /// The variant marked `#[record(other)]`.
    const OTHER: Option<u32>;
    /// The variant marked `#[default]`.
    const DEFAULT: Option<Self>;

    /// The index of its name.
    fn number(self) -> u32;
    /// The variant whose name has this index.
    fn from_number(number: u32) -> Self;
}

/// Appends an enum's number in the chain.
#[doc(hidden)]
pub fn write_enum<E: Enum>(
    value: E,
    binding: &ValueBinding,
    out: &mut Vec<u8>,
    context: &mut WriteContext<'_>,
) -> Result<(), WriteError> {
    let number = value.number();
    match binding.to_chain.get(number as usize) {
        Some(&chain) if chain != ABSENT => out.extend_from_slice(&u64::from(chain).to_le_bytes()),
        _ => return Err(context.unknown_variant(E::VARIANTS[number as usize])),
    }
    Ok(())
}

/// The declared variant for an enum's number in the chain.
#[doc(hidden)]
#[inline(always)]
#[must_use]
pub fn read_enum<E: Enum>(scalar: u64, binding: &ValueBinding) -> E {
    E::from_number(binding.to_declared[scalar as usize])
}

/// Whether a stored enum number is a variant's in the chain. One that only reads as the variant is not.
#[doc(hidden)]
#[must_use]
pub fn is_variant<E: Enum>(scalar: u64, value: E, binding: &ValueBinding) -> bool {
    scalar == in_chain(value, binding)
}

/// How a stored enum number compares to a variant: equal if it reads as the variant, else by the chain's numbers.
#[doc(hidden)]
#[must_use]
pub fn compare_enum<E: Enum>(scalar: u64, wanted: E, binding: &ValueBinding) -> Ordering {
    if binding.to_declared.get(scalar as usize) == Some(&wanted.number()) {
        return Ordering::Equal;
    }
    scalar.cmp(&in_chain(wanted, binding))
}

fn in_chain<E: Enum>(value: E, binding: &ValueBinding) -> u64 {
    u64::from(binding.to_chain.get(value.number() as usize).copied().unwrap_or(ABSENT))
}

/// A variant's name in the dataset.
#[doc(hidden)]
#[must_use]
pub fn variant_name<E: Enum>(value: E) -> &'static str {
    E::VARIANTS[value.number() as usize]
}
