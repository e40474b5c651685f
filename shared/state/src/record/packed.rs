//! Text under `#[record(packed)]`.

use crate::packed::Text;
use crate::schema::Shape;
use crate::segment::Cell;

use super::bind::ValueBinding;
use super::{CellWriter, FieldDeclaration, Present, Scope, WriteError};

/// A String under `#[record(packed)]`: packed in memory, read as [`Text`].
#[derive(Debug)]
pub enum Packed {}

impl Present for Packed {
    type Owned = String;
    type Ref<'v> = Text<'v>;
    const HAS_DEFAULT: bool = true;

    fn declare(field: &mut FieldDeclaration<'_>) -> Shape {
        Shape::One(field.packed())
    }
    fn write(value: &String, cell: CellWriter<'_, '_, '_>) -> Result<(), WriteError> {
        cell.one::<String>(value)
    }
    /// A column that is plain in the dataset reads the same, so that readers can be deployed first.
    fn read<'v>(cell: Cell<'v>, _: &'v [ValueBinding; 2], _: Scope<'v>) -> Text<'v> {
        cell.packed_text()
    }
    fn is_same<'v>(value: &String, cell: Cell<'v>, _: &'v [ValueBinding; 2], _: Scope<'v>) -> bool {
        cell.packed_text() == *value
    }
    fn absent<'v>() -> Text<'v> {
        Text::EMPTY
    }
    fn own(value: Text<'_>) -> String {
        value.into()
    }
}
