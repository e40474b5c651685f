//! Reading: a row, a cell of it, the elements of a list.
//!
//! All of it borrows the segment, copies nothing, and relies on the segment's invariants.

use crate::ids::ColumnId;
use crate::layout::{Column, Form, Layout, Many, ScalarKind};
use crate::packed::Text;
use crate::raw::{FixedRow, load, prefetch};
use crate::row::{Row, RowRef, push_count, push_sized};

use super::Segment;

/// One row of a segment.
#[derive(Clone, Copy)]
pub struct RowAt<'s> {
    segment: &'s Segment,
    layout: &'s Layout,
    row: FixedRow<'s>,
}

/// One column of one row.
#[derive(Clone, Copy)]
pub struct Cell<'s> {
    segment: &'s Segment,
    column: &'s Column,
    row: FixedRow<'s>,
}

/// The elements of a list or a set; a map's keys, or its values.
#[derive(Clone, Copy)]
pub struct Elements<'s> {
    kind: ElementKind<'s>,
    /// Numbers, or the ends of strings.
    numbers: &'s [u8],
    base: u64,
    width: u8,
    len: u32,
}

#[derive(Clone, Copy)]
enum ElementKind<'s> {
    Scalars(ScalarKind),
    Texts(&'s str),
    Blobs(&'s [u8]),
}

impl<'s> RowAt<'s> {
    #[inline(always)]
    pub(super) fn new(segment: &'s Segment, layout: &'s Layout, row: FixedRow<'s>) -> RowAt<'s> {
        RowAt { segment, layout, row }
    }

    /// The cell of the field at this index of the type's schema.
    #[inline(always)]
    #[must_use]
    pub fn cell(self, field: usize) -> Cell<'s> {
        self.cell_of(&self.layout.columns[field])
    }

    /// The cell of a column of this row's layout, which the caller has bound.
    #[inline(always)]
    pub(crate) fn cell_of(self, column: &'s Column) -> Cell<'s> {
        Cell { segment: self.segment, column, row: self.row }
    }

    /// The number in a slot. The caller must know the layout.
    #[inline(always)]
    pub(crate) fn slot(self, slot: usize) -> u64 {
        self.row.number(slot)
    }

    /// Asks for the row before it is read.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        self.row.prefetch();
    }

    /// Asks for the text of the region with this slot.
    #[inline(always)]
    pub(crate) fn prefetch_text(self, slot: usize) {
        prefetch(self.segment.text.as_ptr().wrapping_add(self.row.number(slot) as usize));
    }

    /// Writes the record into `row`, which is cleared first.
    pub fn write_to(self, row: &mut Row) {
        row.clear(self.columns());
        for field in 0..self.columns() {
            let cell = self.cell(field);
            if cell.is_present() {
                row.set(field, |out| cell.canonical(out));
            }
        }
    }

    /// Whether a canonical row holds the same values. `scratch` is overwritten.
    #[must_use]
    pub fn is_row(self, row: RowRef<'_>, scratch: &mut Vec<u8>) -> bool {
        (0..self.columns()).all(|field| self.cell(field).is_canonical(row.cell(field), scratch))
    }

    /// The fields in which a canonical row differs, ascending. `scratch` is overwritten.
    #[must_use]
    pub fn changed_fields(self, row: RowRef<'_>, scratch: &mut Vec<u8>) -> Vec<usize> {
        (0..self.columns()).filter(|field| !self.cell(*field).is_canonical(row.cell(*field), scratch)).collect()
    }

    /// How many fields there are.
    #[must_use]
    pub fn columns(self) -> usize {
        self.layout.columns.len()
    }

    /// The layout that it is read by.
    #[must_use]
    pub fn layout(self) -> &'s Layout {
        self.layout
    }
}

/// A read that does not fit the column's form: the binding was made for another layout.
#[cold]
#[inline(never)]
fn misfit(form: &Form, asked: &str) -> ! {
    panic!("a column of form {form:?} was read as {asked}: the binding belongs to another layout")
}

impl<'s> Cell<'s> {
    /// Whether the row has a value here.
    #[inline(always)]
    #[must_use]
    pub fn is_present(self) -> bool {
        match self.column.presence {
            None => true,
            Some(presence) => self.row.number(presence.slot) >> presence.bit & 1 == 1,
        }
    }

    /// The column's number.
    #[must_use]
    pub fn column(self) -> ColumnId {
        self.column.id
    }

    /// The column's form.
    #[must_use]
    pub fn form(self) -> &'s Form {
        &self.column.form
    }

    /// A bool, integer (sign-extended), enum number, float's bits, ordinal or scalar-formed key.
    #[inline(always)]
    #[must_use]
    pub fn scalar(self) -> u64 {
        match &self.column.form {
            Form::Scalar { slot, .. } => self.row.number(*slot),
            form => misfit(form, "a number"),
        }
    }

    /// A string, or a text-formed key.
    #[inline(always)]
    #[must_use]
    pub fn text(self) -> &'s str {
        match &self.column.form {
            Form::Text(region) => {
                let (start, end) = self.row.span(region.slot);
                &self.segment.text[start..end]
            }
            form => misfit(form, "text"),
        }
    }

    /// Bytes, or the canonical bytes of a key of several parts.
    #[inline(always)]
    #[must_use]
    pub fn bytes(self) -> &'s [u8] {
        match &self.column.form {
            Form::Bytes(region) => {
                let (start, end) = self.row.span(region.slot);
                &self.segment.bytes[start..end]
            }
            form => misfit(form, "bytes"),
        }
    }

    /// A packed string, or a plain one.
    #[must_use]
    pub fn packed_text(self) -> Text<'s> {
        match &self.column.form {
            Form::Text(_) => Text::from(self.text()),
            _ => {
                let (number, bytes) = self.packed();
                match self.segment.symbols.as_ref().and_then(|symbols| symbols.get(number)) {
                    Some(table) => Text::packed(bytes, table),
                    None => Text::from(std::str::from_utf8(bytes).expect("packed text is validated once")),
                }
            }
        }
    }

    /// A packed string as it is stored: the number of its symbol table, and its bytes.
    pub(super) fn packed(self) -> (u64, &'s [u8]) {
        match &self.column.form {
            Form::Packed { region, table } => {
                let (start, end) = self.row.span(region.slot);
                (self.row.number(*table), &self.segment.bytes[start..end])
            }
            form => misfit(form, "packed text"),
        }
    }

    /// A list or a set.
    #[inline(always)]
    #[must_use]
    pub fn elements(self) -> Elements<'s> {
        match &self.column.form {
            Form::Many(many) => self.many(many),
            form => misfit(form, "a list"),
        }
    }

    /// A map's keys and values, equally many, sorted by key.
    #[inline(always)]
    #[must_use]
    pub fn entries(self) -> (Elements<'s>, Elements<'s>) {
        match &self.column.form {
            Form::Map(keys, values) => (self.many(keys), self.many(values)),
            form => misfit(form, "a map"),
        }
    }

    #[inline(always)]
    fn many(self, many: &'s Many) -> Elements<'s> {
        let segment = self.segment;
        let ((start, end), (content_start, content_end)) = spans(many, self.row);
        let (kind, lane) = match many {
            Many::Scalars { lane, kind, .. } => (ElementKind::Scalars(*kind), *lane),
            Many::Texts { lane, .. } => (ElementKind::Texts(&segment.text[content_start..content_end]), *lane),
            Many::Blobs { lane, .. } => (ElementKind::Blobs(&segment.bytes[content_start..content_end]), *lane),
        };
        let slot = segment.fixed.slot(lane);
        let len = ((end - start) / usize::from(slot.width)) as u32;
        // To the heap's end, so that the last element's eight bytes can be read.
        Elements { kind, numbers: &segment.bytes[start..], base: slot.base, width: slot.width, len }
    }

    /// Appends the canonical bytes (see [`row`](crate::row)); returns whether there is a value.
    pub fn canonical(self, out: &mut Vec<u8>) -> bool {
        if !self.is_present() {
            return false;
        }
        match &self.column.form {
            Form::Scalar { slot, kind } => push_scalar(out, *kind, self.row.number(*slot)),
            Form::Text(_) => out.extend_from_slice(self.text().as_bytes()),
            Form::Bytes(_) => out.extend_from_slice(self.bytes()),
            Form::Packed { .. } => self.packed_text().extend(out),
            Form::Many(_) => {
                let elements = self.elements();
                push_count(elements.len(), out);
                (0..elements.len()).for_each(|index| elements.canonical(index, out));
            }
            Form::Map(..) => {
                let (keys, values) = self.entries();
                push_count(keys.len(), out);
                for index in 0..keys.len() {
                    keys.canonical(index, out);
                    values.canonical(index, out);
                }
            }
        }
        true
    }

    /// Whether these are its canonical bytes; `None` means no value. What memory has in the form that is written is not
    /// copied first; `scratch` is overwritten by the rest.
    #[must_use]
    pub(crate) fn is_canonical(self, canonical: Option<&[u8]>, scratch: &mut Vec<u8>) -> bool {
        let Some(bytes) = canonical else { return !self.is_present() };
        if !self.is_present() {
            return false;
        }
        match &self.column.form {
            Form::Scalar { slot, kind } => is_scalar(bytes, *kind, self.row.number(*slot)),
            Form::Text(_) => self.text().as_bytes() == bytes,
            Form::Bytes(_) => self.bytes() == bytes,
            Form::Many(Many::Scalars { kind, .. }) => self.elements().are_scalars(bytes, *kind),
            Form::Packed { .. } | Form::Many(_) | Form::Map(..) => {
                scratch.clear();
                self.canonical(scratch) && scratch == bytes
            }
        }
    }
}

/// The parts of several values: elements of the byte heap, and their content where that is apart.
#[inline(always)]
fn spans(many: &Many, row: FixedRow<'_>) -> ((usize, usize), (usize, usize)) {
    match many {
        Many::Scalars { region, .. } => (row.span(region.slot), (0, 0)),
        Many::Texts { ends, content, .. } | Many::Blobs { ends, content, .. } => {
            (row.span(ends.slot), row.span(content.slot))
        }
    }
}

fn is_scalar(canonical: &[u8], kind: ScalarKind, scalar: u64) -> bool {
    match kind.canonical_bytes() {
        4 => canonical == (scalar as u32).to_le_bytes(),
        _ => canonical == scalar.to_le_bytes(),
    }
}

fn push_scalar(out: &mut Vec<u8>, kind: ScalarKind, scalar: u64) {
    out.extend_from_slice(&scalar.to_le_bytes()[..kind.canonical_bytes()]);
}

impl<'s> Elements<'s> {
    /// How many there are.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number at `index`: of a list of numbers, or the end of a string.
    #[inline(always)]
    #[must_use]
    pub fn scalar(&self, index: usize) -> u64 {
        assert!(index < self.len(), "element {index} of {}", self.len);
        self.base.wrapping_add(load(self.numbers, index * usize::from(self.width), self.width))
    }

    /// Whether these are the canonical bytes of them all, numbers of this kind.
    fn are_scalars(&self, canonical: &[u8], kind: ScalarKind) -> bool {
        let Some((count, scalars)) = canonical.split_first_chunk() else { return false };
        let width = kind.canonical_bytes();
        u32::from_le_bytes(*count) == self.len
            && scalars.len() == self.len() * width
            && scalars
                .chunks_exact(width)
                .enumerate()
                .all(|(index, scalar)| is_scalar(scalar, kind, self.scalar(index)))
    }

    /// The string at `index`.
    #[inline(always)]
    #[must_use]
    pub fn text(&self, index: usize) -> &'s str {
        match self.kind {
            ElementKind::Texts(text) => {
                let (start, end) = self.bounds(index);
                &text[start..end]
            }
            _ => panic!("a list was read as one of strings: the binding belongs to another layout"),
        }
    }

    /// The byte string at `index`.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self, index: usize) -> &'s [u8] {
        match self.kind {
            ElementKind::Blobs(bytes) => {
                let (start, end) = self.bounds(index);
                &bytes[start..end]
            }
            _ => panic!("a list was read as one of byte strings: the binding belongs to another layout"),
        }
    }

    #[inline(always)]
    fn bounds(&self, index: usize) -> (usize, usize) {
        let start = if index == 0 { 0 } else { self.scalar(index - 1) as usize };
        (start, self.scalar(index) as usize)
    }

    /// Appends an element's canonical bytes.
    pub fn canonical(&self, index: usize, out: &mut Vec<u8>) {
        let content = match self.kind {
            ElementKind::Scalars(kind) => return push_scalar(out, kind, self.scalar(index)),
            ElementKind::Texts(_) => self.text(index).as_bytes(),
            ElementKind::Blobs(_) => self.bytes(index),
        };
        push_sized(content, out);
    }
}
