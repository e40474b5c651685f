//! What the producer looks up in every row, worked out once per schema: what its cells are, and where its references are.
//!
//! Rows come in canonical form ([`cenote_state::row`]), from a user or from a segment; a plan walks both.

use cenote_state::ids::{ColumnId, TypeId};
use cenote_state::row::{CellForm, CellReader, ElementForm, Order, RowMut, RowRef, Sorter};
use cenote_state::schema::{KeyError, Schema};
use cenote_state::segment::RowAt;

/// Plans for all types of a schema.
pub(crate) struct Plans {
    types: Vec<TypePlan>,
}

/// The plan for one type.
pub(crate) struct TypePlan {
    /// Its columns, in the order of its fields.
    pub(crate) columns: Vec<ColumnId>,
    /// What its cells are, in the same order.
    pub(crate) cells: Vec<CellForm>,
    /// The fields that hold component ordinals.
    references: Vec<usize>,
}

/// Bytes of a count.
const COUNT: usize = size_of::<u32>();

const CHECKED: &str = "cells are written or checked by this process before they come here";

impl Plans {
    /// The plans for a schema.
    pub(crate) fn new(schema: &Schema) -> Result<Plans, KeyError> {
        let types = schema.iter().map(|(id, _)| TypePlan::new(schema, id));
        Ok(Plans { types: types.collect::<Result<_, _>>()? })
    }

    /// The plan for a type.
    pub(crate) fn of(&self, id: TypeId) -> &TypePlan {
        &self.types[id.index()]
    }
}

impl TypePlan {
    fn new(schema: &Schema, id: TypeId) -> Result<TypePlan, KeyError> {
        let fields = &schema.get(id).fields;
        let cells = fields.iter().map(|field| CellForm::new(schema, &field.shape));
        let cells: Vec<CellForm> = cells.collect::<Result<_, _>>()?;
        let references = (0..cells.len()).filter(|field| cells[*field].has_components()).collect();
        Ok(TypePlan { columns: fields.iter().map(|field| field.column).collect(), cells, references })
    }

    /// Whether the field holds component ordinals.
    pub(crate) fn refers_by(&self, field: usize) -> bool {
        self.references.contains(&field)
    }

    /// Visits every component ordinal in a row, each as often as it is there.
    pub(crate) fn references(&self, row: RowRef<'_>, mut visit: impl FnMut(TypeId, u32)) {
        for field in &self.references {
            if let Some(cell) = row.cell(*field) {
                visit_cell(&self.cells[*field], cell, &mut visit);
            }
        }
    }

    /// The same for a record that a segment holds.
    pub(crate) fn stored_references(&self, row: RowAt<'_>, mut visit: impl FnMut(TypeId, u32)) {
        for field in &self.references {
            let cell = row.cell(*field);
            if !cell.is_present() {
                continue;
            }
            match &self.cells[*field] {
                CellForm::One(form) => form.component().iter().for_each(|id| visit(*id, cell.scalar() as u32)),
                CellForm::List(form) | CellForm::Set(form) => {
                    let elements = cell.elements();
                    let Some(id) = form.component() else { continue };
                    (0..elements.len()).for_each(|index| visit(id, elements.scalar(index) as u32));
                }
                CellForm::Map(key, value) => {
                    let (keys, values) = cell.entries();
                    for (form, elements) in [(key, keys), (value, values)] {
                        let Some(id) = form.component() else { continue };
                        (0..elements.len()).for_each(|index| visit(id, elements.scalar(index) as u32));
                    }
                }
            }
        }
    }

    /// Replaces every component ordinal in a row, in place: an ordinal is as long as another. Sets, and maps by
    /// component, are sorted again.
    pub(crate) fn renumber(&self, mut row: RowMut<'_>, number: impl Fn(TypeId, u32) -> u32) {
        for field in &self.references {
            if let Some(cell) = row.cell(*field) {
                renumber_cell(&self.cells[*field], cell, &number);
            }
        }
    }
}

fn visit_cell(form: &CellForm, cell: &[u8], visit: &mut impl FnMut(TypeId, u32)) {
    match form {
        CellForm::One(form) => form.component().iter().for_each(|id| visit(*id, ordinal_in(cell))),
        CellForm::List(form) | CellForm::Set(form) => {
            let (ordinals, _) = cell[COUNT..].as_chunks();
            let Some(id) = form.component() else { return };
            ordinals.iter().for_each(|ordinal| visit(id, u32::from_le_bytes(*ordinal)));
        }
        CellForm::Map(key, value) => {
            let mut reader = CellReader::new(&cell[COUNT..]);
            while !reader.is_empty() {
                for form in [key, value] {
                    let bytes = reader.element(form.width()).expect(CHECKED);
                    form.component().iter().for_each(|id| visit(*id, ordinal_in(bytes)));
                }
            }
        }
    }
}

fn renumber_cell(form: &CellForm, cell: &mut [u8], number: &impl Fn(TypeId, u32) -> u32) {
    let renumber = |form: &ElementForm, ordinal: &mut [u8]| {
        if let Some(id) = form.component() {
            ordinal.copy_from_slice(&number(id, ordinal_in(ordinal)).to_le_bytes());
        }
    };
    match form {
        CellForm::One(form) => renumber(form, cell),
        CellForm::List(form) => {
            let (ordinals, _) = cell[COUNT..].as_chunks_mut::<4>();
            ordinals.iter_mut().for_each(|ordinal| renumber(form, ordinal));
        }
        CellForm::Set(form) => {
            let (ordinals, _) = cell[COUNT..].as_chunks_mut::<4>();
            ordinals.iter_mut().for_each(|ordinal| renumber(form, ordinal));
            ordinals.sort_unstable_by_key(|ordinal| u32::from_le_bytes(*ordinal));
        }
        CellForm::Map(key, value) => {
            let mut at = COUNT;
            while at < cell.len() {
                for form in [key, value] {
                    let mut rest = CellReader::new(&cell[at..]);
                    let len = rest.element(form.width()).expect(CHECKED).len();
                    let end = cell.len() - rest.rest().len();
                    renumber(form, &mut cell[end - len..end]);
                    at = end;
                }
            }
            if key.component().is_some() {
                sort_entries(value, cell);
            }
        }
    }
}

/// Sorts a map by its keys, which are ordinals.
fn sort_entries(value: &ElementForm, cell: &mut [u8]) {
    let mut sorter = Sorter::default();
    let mut reader = CellReader::new(&cell[COUNT..]);
    while !reader.is_empty() {
        let key = reader.take(size_of::<u32>()).expect(CHECKED);
        let value = reader.element(value.width()).expect(CHECKED);
        sorter.push_entry(key, value);
    }
    sorter.sort(Order::Unsigned);
    let mut sorted = Vec::with_capacity(cell.len());
    sorter.write([false, value.is_sized()], &mut sorted);
    cell.copy_from_slice(&sorted);
}

/// The ordinal in the bytes of one reference.
fn ordinal_in(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect(CHECKED))
}
