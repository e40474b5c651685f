//! A schema change of a dataset: a type's segments laid out again, one by one, or to be [cut](super::recut) again.
//!
//! Columns are matched by number. A new column is absent in every row; the sums of a removed one are removed with it,
//! which is the one change that may cost its type (I10).

use std::sync::Arc;

use crate::digest::{Sums, stored_cell_digest};
use crate::ids::{Ordinal, TypeId};
use crate::layout::{Column, Form, Layout, Many, ScalarKind, ValueForm};
use crate::parallel;
use crate::schema::{KeyError, Schema};
use crate::segment::{Segment, SegmentBuilder};

use super::Table;

impl Table {
    /// This table under another schema of its type.
    pub(crate) fn relayout(&self, schema: &Schema, id: TypeId, threads: usize) -> Result<Table, KeyError> {
        let empty = Table::empty(schema, id, self.seed)?;
        if schema.get(id).fields.is_empty() {
            return Ok(empty);
        }
        if self.segments.len() == 0 {
            return Ok(Table { symbols: self.symbols.clone(), ..empty });
        }
        if same_places(&self.layout, &empty.layout) {
            let table = Table {
                layout: empty.layout,
                key: empty.key,
                scalar_slot: empty.scalar_slot,
                blank: empty.blank,
                ..self.clone()
            };
            return Ok(table.with_segment_rows(empty.segment_rows_log2, threads));
        }
        Ok(self.settled(threads).with_layout(empty, threads))
    }

    /// This table, all cut, with the layout of an empty one, whose columns have other places.
    fn with_layout(&self, empty: Table, threads: usize) -> Table {
        let sources: Vec<Option<usize>> = empty.layout.columns.iter().map(|column| self.source_of(column)).collect();
        let dropped: Vec<usize> =
            (0..self.layout.columns.len()).filter(|field| !sources.contains(&Some(*field))).collect();
        let numbers: Vec<usize> = (0..self.segments.len()).collect();
        let relaid =
            |number: &usize| Some(Arc::new(self.relayout_segment(*number, &empty.layout, &sources, &dropped)?));
        let segments = parallel::map(&numbers, threads, relaid);
        let columns = sources.iter().map(|source| source.map_or(0, |field| self.sums.columns[field])).collect();
        let sums = Sums { columns, presence: self.sums.presence };
        let table = Table {
            layout: empty.layout,
            key: empty.key,
            scalar_slot: empty.scalar_slot,
            blank: empty.blank,
            ..self.loaded(segments, self.live.clone(), sums, self.has_digests)
        };
        table.with_segment_rows(empty.segment_rows_log2, threads)
    }

    /// The field that has the column's values. A column never changes its form; if a hostile schema does it, the values
    /// are removed with their sums, and the digest differs (I5, I9).
    fn source_of(&self, column: &Column) -> Option<usize> {
        let same = |old: &Column| old.id == column.id && values_of(&old.form) == values_of(&column.form);
        self.layout.columns.iter().position(same)
    }

    fn relayout_segment(
        &self,
        number: usize,
        layout: &Layout,
        sources: &[Option<usize>],
        dropped: &[usize],
    ) -> Option<Segment> {
        let old = self.segment(number)?;
        let first = number as u32 * self.segment_rows();
        let mut digest = old.digest();
        let mut scratch = Vec::new();
        let mut builder = SegmentBuilder::new(layout, self.symbols.as_ref());
        for row in 0..old.rows() {
            let ordinal = Ordinal(first + row);
            let at = old.row(&self.layout, row).expect("the row is below the segment's count");
            if !self.is_live(ordinal) {
                builder.push_dead();
                continue;
            }
            builder.push_relayout(at, sources);
            for field in dropped {
                digest = digest.wrapping_sub(stored_cell_digest(ordinal, at.cell(*field), &mut scratch));
            }
        }
        Some(builder.finish(digest))
    }
}

/// How many values a column's cell has, and whether they are packed.
#[derive(PartialEq)]
enum Held {
    One,
    Packed,
    Many,
}

/// What a column's values are, whichever slots they have.
fn values_of(form: &Form) -> (Held, ValueForm, Option<ValueForm>) {
    let leveled = |kind: &ScalarKind| match kind {
        ScalarKind::Variant(_) => ValueForm::Scalar(ScalarKind::Variant(0)),
        kind => ValueForm::Scalar(*kind),
    };
    let many = |many: &Many| match many {
        Many::Scalars { kind, .. } => leveled(kind),
        Many::Texts { .. } => ValueForm::Text,
        Many::Blobs { .. } => ValueForm::Bytes,
    };
    match form {
        Form::Scalar { kind, .. } => (Held::One, leveled(kind), None),
        Form::Text(_) => (Held::One, ValueForm::Text, None),
        Form::Bytes(_) => (Held::One, ValueForm::Bytes, None),
        Form::Packed { .. } => (Held::Packed, ValueForm::Text, None),
        Form::Many(values) => (Held::Many, many(values), None),
        Form::Map(keys, values) => (Held::Many, many(keys), Some(many(values))),
    }
}

/// Whether segments of one layout can be read by the other: they may differ in how many variants an enum has.
fn same_places(old: &Layout, new: &Layout) -> bool {
    let leveled = |layout: &Layout| {
        let mut layout = layout.clone();
        let level = |kind: &mut ScalarKind| {
            if let ScalarKind::Variant(variants) = kind {
                *variants = 0;
            }
        };
        let level_many = |many: &mut Many| {
            if let Many::Scalars { kind, .. } = many {
                level(kind);
            }
        };
        for column in &mut layout.columns {
            match &mut column.form {
                Form::Scalar { kind, .. } => level(kind),
                Form::Many(many) => level_many(many),
                Form::Map(keys, values) => {
                    level_many(keys);
                    level_many(values);
                }
                Form::Text(_) | Form::Bytes(_) | Form::Packed { .. } => {}
            }
        }
        layout
    };
    leveled(old) == leveled(new)
}
