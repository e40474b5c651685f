//! Fields of types that are not records': a newtype of another crate, a point in time, an array.

use std::marker::PhantomData;

use crate::schema::Shape;
use crate::segment::Cell;

use super::bind::ValueBinding;
use super::{Field, FieldDeclaration, RecordWriter, Scope, Sealed, WriteError};

/// Keeps a type that a record can't hold as one that it can: `#[record(with = Adapter)]` on a field.
///
/// The dataset, and so the readers, have what is stored; structs have the type itself. A type of your own that holds one
/// number or text needs no adapter: put `#[derive(Record)]` on `struct MovieId(u64);`.
///
/// # Example
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use cenote_consumer::{Adapter, Record};
///
/// /// Milliseconds since 1970.
/// struct Millis;
///
/// impl Adapter for Millis {
///     type Foreign = SystemTime;
///     type Stored = u64;
///
///     fn store(time: &SystemTime) -> u64 {
///         time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
///     }
///
///     fn load(millis: u64) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
///     }
/// }
///
/// #[derive(Record)]
/// #[record(key = "id")]
/// struct Movie {
///     id: u64,
///     #[record(with = Millis)]
///     released: SystemTime,
/// }
///
/// fn year_after(movie: MovieRef<'_>) -> SystemTime {
///     Millis::load(movie.released()) + Duration::from_secs(31_557_600)
/// }
/// assert_eq!(Millis::store(&Millis::load(77)), 77);
/// ```
pub trait Adapter: 'static {
    /// The field's type in the struct.
    type Foreign;
    /// What the dataset has: anything that a field can be, like `u64`, `String`, `Vec<u8>` or `Option<i32>`.
    type Stored: Field;

    /// What is stored of a value.
    ///
    /// [Example](Adapter#example)
    fn store(value: &Self::Foreign) -> <Self::Stored as Field>::Owned;

    /// The value of what is stored.
    ///
    /// [Example](Adapter#example)
    fn load(stored: <Self::Stored as Field>::Owned) -> Self::Foreign;
}

/// A field under `#[record(with = A)]`.
#[derive(Debug)]
pub struct With<A>(PhantomData<A>);

impl<A> Sealed for With<A> {}

impl<A: Adapter> Field for With<A> {
    type Owned = A::Foreign;
    type Ref<'v> = <A::Stored as Field>::Ref<'v>;
    const OPTIONAL: bool = <A::Stored as Field>::OPTIONAL;
    const HAS_DEFAULT: bool = <A::Stored as Field>::HAS_DEFAULT;

    fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
        <A::Stored as Field>::declare(field)
    }
    fn write(value: &A::Foreign, index: usize, writer: &mut RecordWriter<'_, '_>) -> Result<(), WriteError> {
        <A::Stored as Field>::write(&A::store(value), index, writer)
    }
    #[inline(always)]
    fn read<'v>(cell: Option<Cell<'v>>, bindings: &'v [ValueBinding; 2], scope: Scope<'v>) -> Self::Ref<'v> {
        <A::Stored as Field>::read(cell, bindings, scope)
    }
    fn is_same<'v>(
        value: &A::Foreign,
        cell: Option<Cell<'v>>,
        bindings: &'v [ValueBinding; 2],
        scope: Scope<'v>,
    ) -> bool {
        <A::Stored as Field>::is_same(&A::store(value), cell, bindings, scope)
    }
    fn own(value: Self::Ref<'_>) -> A::Foreign {
        A::load(<A::Stored as Field>::own(value))
    }
}
