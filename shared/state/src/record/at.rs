//! One record in a view, as the generated readers hold it.

use crate::ids::{Ordinal, TypeId};
use crate::segment::{Cell, RowAt};
use crate::view::Viewed;

use super::Field;
use super::bind::{FieldBinding, TypeBinding, ValueBinding};
use super::collections::TOGETHER;

/// A record in a view: where its row is, and where each declared field is in the row. Copy it freely.
#[derive(Clone, Copy)]
pub struct RecordAt<'v> {
    row: RowAt<'v>,
    binding: &'v TypeBinding,
    scope: Scope<'v>,
    ordinal: Ordinal,
}

/// A deduplicated text's component type has this one field.
pub(super) const DEDUP_FIELD: usize = 0;

/// The view that a record is read in; leads from a reference to what it refers to.
#[derive(Clone, Copy)]
pub struct Scope<'v> {
    pub(crate) view: &'v Viewed,
}

impl<'v> RecordAt<'v> {
    #[inline(always)]
    pub(crate) fn new(row: RowAt<'v>, binding: &'v TypeBinding, scope: Scope<'v>, ordinal: Ordinal) -> RecordAt<'v> {
        RecordAt { row, binding, scope, ordinal }
    }

    /// Reads the declared field at `index`.
    #[inline(always)]
    #[must_use]
    pub fn field<F: Field>(self, index: usize) -> F::Ref<'v> {
        let field = &self.binding.fields[index];
        F::read(self.cell(field), &field.values, self.scope)
    }

    /// A copy of the declared field at `index`.
    #[must_use]
    pub fn own<F: Field>(self, index: usize) -> F::Owned {
        F::own(self.field::<F>(index))
    }

    /// Whether the declared field at `index` holds this value: see [`Present::is_same`](super::Present::is_same).
    #[inline]
    #[must_use]
    pub fn holds<F: Field>(self, index: usize, value: &F::Owned) -> bool {
        let field = &self.binding.fields[index];
        F::is_same(value, self.cell(field), &field.values, self.scope)
    }

    /// Whether the program declares each column that the record has, and the dataset has each field.
    #[inline]
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.binding.is_whole
    }

    /// Where the declared fields are.
    pub(super) fn binding(self) -> &'v TypeBinding {
        self.binding
    }

    /// The view that it is read in.
    pub(super) fn scope(self) -> Scope<'v> {
        self.scope
    }

    /// The record's number in its type.
    #[inline(always)]
    #[must_use]
    pub fn ordinal(self) -> Ordinal {
        self.ordinal
    }

    /// The cell, if the chain has the column and the row has a value.
    #[inline(always)]
    fn cell(self, field: &'v FieldBinding) -> Option<Cell<'v>> {
        let (_, column) = field.column.as_ref()?;
        let cell = self.row.cell_of(column);
        if cell.is_present() { Some(cell) } else { None }
    }
}

impl<'v> Scope<'v> {
    /// The component record that a reference leads to.
    #[inline(always)]
    pub(crate) fn component(self, binding: &ValueBinding, scalar: u64) -> RecordAt<'v> {
        let ordinal = Ordinal(scalar as u32);
        let row = self.row(binding.chain, ordinal);
        row.prefetch();
        RecordAt::new(row, self.view.binding_at(binding.declared), self, ordinal)
    }

    /// Asks for up to [`TOGETHER`] component records, in stages as the key look-up of many does.
    #[inline]
    pub(crate) fn prefetch_components(self, binding: &ValueBinding, scalars: impl Iterator<Item = u64> + Clone) {
        let table = self.view.state.table(binding.chain);
        scalars.clone().for_each(|scalar| table.prefetch_segment(Ordinal(scalar as u32)));
        let mut rows = [None; TOGETHER];
        for (row, scalar) in rows.iter_mut().zip(scalars) {
            *row = table.row(Ordinal(scalar as u32));
            row.iter().for_each(|row| row.prefetch());
        }
        if let Some(text) = table.first_text() {
            rows.iter().flatten().for_each(|row| row.prefetch_text(text));
        }
    }

    /// The text of a deduplicated string.
    #[inline(always)]
    pub(crate) fn dedup(self, binding: &ValueBinding, scalar: u64) -> &'v str {
        self.row(binding.chain, Ordinal(scalar as u32)).cell(DEDUP_FIELD).text()
    }

    #[inline(always)]
    fn row(self, chain: TypeId, ordinal: Ordinal) -> RowAt<'v> {
        self.view.state.table(chain).referenced(ordinal)
    }
}
