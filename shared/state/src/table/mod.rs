//! A table: a type's segments under a two-level tree, a paged bitmap of live ordinals, the key index of a root.
//!
//! Immutable like everything in a state; an edit makes a new table that shares every segment, page and chunk that it
//! does not touch (I10). How many rows a segment has may change: see `recut`.
//!
//! Invariants: a live ordinal has a row in its segment; the key index names exactly the live rows of a root; the sums
//! are those of the live records, and each segment's digest its share of them, but where a snapshot was loaded in part.
//! Point reads never look at the bitmap.

mod edit;
mod recut;
mod relayout;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use edit::{EditError, TableEdit};

use crate::digest::Sums;
use crate::ids::{Ordinal, TypeId};
use crate::index::{Directory, KeyIndex, LiveSet, Near};
use crate::keys::{Components, KeyPlan, KeyRef};
use crate::layout::Layout;
use crate::packed::Symbols;
use crate::raw::prefetch;
use crate::schema::{KeyError, Schema};
use crate::segment::{RowAt, Segment, SegmentBuilder};
use recut::Former;

/// The tables of a state, by type number: where a table finds the components that its keys lead through.
pub type Tables = [Arc<Table>];

impl<'t> Components<'t> for &'t Tables {
    type Row = RowAt<'t>;

    fn component(self, id: TypeId, ordinal: Ordinal) -> Option<RowAt<'t>> {
        self[id.index()].row(ordinal)
    }
}

/// A record found, and its row.
pub(crate) type Found<'s> = Option<(Ordinal, RowAt<'s>)>;

/// How many keys are looked up together: enough that their cache misses fill the processor's queue.
pub(crate) const MANY: usize = 16;

/// All records of one type at one version.
#[derive(Clone, Debug)]
pub struct Table {
    layout: Arc<Layout>,
    key: Option<Arc<KeyPlan>>,
    /// The slot of a key that is one number. Follows from the plan; every look-up wants it.
    scalar_slot: Option<usize>,
    seed: u64,
    segment_rows_log2: u8,
    segments: Directory<Option<Arc<Segment>>>,
    /// Segments of another size, until they are cut again.
    former: Option<Arc<Former>>,
    /// Of all segments together.
    content_bytes: u64,
    live: LiveSet,
    keys: KeyIndex,
    sums: Sums,
    /// What its packed text is packed by; none where nothing is.
    symbols: Option<Arc<Symbols>>,
    /// One dead row: what a reference reads that leads nowhere.
    blank: Arc<Segment>,
    /// Whether segments have digests: a snapshot tells those of whole segments only.
    has_digests: bool,
}

impl Table {
    /// A table without records.
    pub fn empty(schema: &Schema, id: TypeId, seed: u64) -> Result<Table, KeyError> {
        let layout = Layout::new(schema, id)?;
        let root = schema.get(id).is_root() && !schema.get(id).fields.is_empty();
        let key = if root { Some(Arc::new(KeyPlan::new(schema, id, &layout)?)) } else { None };
        Ok(Table {
            scalar_slot: key.as_ref().and_then(|plan| plan.scalar_slot()),
            key,
            seed,
            segment_rows_log2: schema.get(id).segment_rows_log2,
            segments: std::iter::empty().collect(),
            former: None,
            content_bytes: 0,
            live: LiveSet::new(),
            keys: KeyIndex::new(),
            sums: Sums::new(layout.columns.len()),
            symbols: None,
            blank: Arc::new(blank(&layout)),
            layout: Arc::new(layout),
            has_digests: true,
        })
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The slots and regions of its columns.
    #[must_use]
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The tables that its packed text is packed by.
    #[must_use]
    pub fn symbols(&self) -> Option<&Arc<Symbols>> {
        self.symbols.as_ref()
    }

    /// The same records, with more symbol tables after those that it has.
    pub(crate) fn with_symbols(&self, symbols: Arc<Symbols>) -> Table {
        Table { symbols: Some(symbols), ..self.clone() }
    }

    /// The slot of a key that is one number.
    pub(crate) fn scalar_slot(&self) -> Option<usize> {
        self.scalar_slot
    }

    /// How its key is read; none for a component.
    #[must_use]
    pub fn key_plan(&self) -> Option<&Arc<KeyPlan>> {
        self.key.as_ref()
    }

    /// The sums of its live records.
    #[must_use]
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Every ordinal is below this.
    #[must_use]
    pub fn ordinal_ceiling(&self) -> u32 {
        u32::try_from((self.segments.len() as u64) << self.segment_rows_log2).unwrap_or(u32::MAX)
    }

    /// Rows of a segment.
    #[must_use]
    pub fn segment_rows(&self) -> u32 {
        1 << self.segment_rows_log2
    }

    /// Bytes of all rows, dead ones included: see [`Segment::content_bytes`].
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// How many segments it has room for, missing ones included.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The segment with this number, if it has rows, and is not still to be cut: see [`segments`](Table::segments).
    #[must_use]
    pub fn segment(&self, number: usize) -> Option<&Arc<Segment>> {
        self.segments.get(number)?.as_ref()
    }

    /// The live ordinals.
    #[must_use]
    pub fn live(&self) -> &LiveSet {
        &self.live
    }

    /// Whether a record has this ordinal.
    #[must_use]
    pub fn is_live(&self, ordinal: Ordinal) -> bool {
        self.live.contains(ordinal.0)
    }

    /// Live ordinals, ascending.
    pub fn ordinals(&self) -> impl Iterator<Item = Ordinal> {
        self.live.iter().map(Ordinal)
    }

    /// The row with this ordinal, live or not; none where no segment has it.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, ordinal: Ordinal) -> Option<RowAt<'_>> {
        match self.cut_row(ordinal) {
            Some(row) => Some(row),
            None => self.former_row(ordinal),
        }
    }

    /// The row, if its segment has the table's size: what a read tries first.
    #[inline(always)]
    fn cut_row(&self, ordinal: Ordinal) -> Option<RowAt<'_>> {
        let number = ordinal.0 >> self.segment_rows_log2;
        let segment = self.segments.get(number as usize)?.as_ref()?;
        segment.row(&self.layout, ordinal.0 - (number << self.segment_rows_log2))
    }

    /// Asks for the header of a record's segment, before its row is looked for.
    #[inline(always)]
    pub(crate) fn prefetch_segment(&self, ordinal: Ordinal) {
        let segment = self.segment((ordinal.0 >> self.segment_rows_log2) as usize);
        segment.iter().for_each(|segment| prefetch(Arc::as_ptr(segment)));
    }

    /// The slot of the first text of a row: what most readers begin with, a title or a name.
    #[inline(always)]
    pub(crate) fn first_text(&self) -> Option<usize> {
        self.layout.text_regions.first().copied()
    }

    /// The row that a reference leads to. Where a hostile writer left none, a row of empty values: readers do not panic
    /// over what came from outside (I9).
    #[inline]
    #[must_use]
    pub fn referenced(&self, ordinal: Ordinal) -> RowAt<'_> {
        self.row(ordinal).unwrap_or_else(|| self.blank.row(&self.layout, 0).expect("the blank segment has one row"))
    }

    /// The record with this key. `tables` are those of the same state.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, key: KeyRef<'_>, tables: &Tables) -> Option<Ordinal> {
        self.find_row(key, tables).map(|(ordinal, _)| ordinal)
    }

    /// The record with this key, and its row: what a read wants.
    #[inline(always)]
    #[must_use]
    pub fn find_row<'s>(&'s self, key: KeyRef<'_>, tables: &Tables) -> Option<(Ordinal, RowAt<'s>)> {
        if let (Some(slot), KeyRef::Scalar(scalar)) = (self.scalar_slot, key) {
            return self.find_scalar(slot, scalar);
        }
        self.find_any(self.key.as_ref()?, key, tables)
    }

    /// By a key that is a number in a slot: the read that is worth having in its caller's code. What leaves it for code
    /// out of line are numbers, so that everything else stays in registers.
    #[inline(always)]
    fn find_scalar(&self, slot: usize, scalar: u64) -> Option<(Ordinal, RowAt<'_>)> {
        let hash = KeyRef::Scalar(scalar).hash(self.seed);
        let home = self.keys.home(hash);
        // A loop, since a closure of this size is not inlined.
        for ordinal in home.ordinals() {
            let Some(row) = self.cut_row(Ordinal(ordinal)) else { return self.find_scalar_former(hash, slot, scalar) };
            row.prefetch();
            if row.slot(slot) == scalar {
                return Some((Ordinal(ordinal), row));
            }
        }
        if home.may_have_spilled() { self.find_scalar_spilled(hash, slot, scalar) } else { None }
    }

    #[cold]
    #[inline(never)]
    fn find_scalar_spilled(&self, hash: u64, slot: usize, scalar: u64) -> Option<(Ordinal, RowAt<'_>)> {
        let mut rows = self.keys.home(hash).spilled().filter_map(|at| Some((Ordinal(at), self.row(Ordinal(at))?)));
        rows.find(|(_, row)| row.slot(slot) == scalar)
    }

    /// As the two before, where segments are still to be cut.
    #[cold]
    #[inline(never)]
    fn find_scalar_former(&self, hash: u64, slot: usize, scalar: u64) -> Option<(Ordinal, RowAt<'_>)> {
        let home = self.keys.home(hash);
        let mut rows = home.ordinals().chain(home.spilled()).map(Ordinal).filter_map(|at| Some((at, self.row(at)?)));
        rows.find(|(_, row)| row.slot(slot) == scalar)
    }

    /// The records with up to [`MANY`] keys that are numbers: what `find_row` finds for each.
    ///
    /// In stages over all of them, each asking for what the next one reads: the cache misses of a stage overlap, where
    /// look-ups one after another would wait for each.
    pub(crate) fn find_scalars<'s>(&'s self, slot: usize, scalars: &[u64], found: &mut [Found<'s>; MANY]) {
        let mut lines: [Option<Near<'_>>; MANY] = [None; MANY];
        for (line, scalar) in lines.iter_mut().zip(scalars) {
            let near = self.keys.home(KeyRef::Scalar(*scalar).hash(self.seed)).near();
            near.prefetch();
            *line = Some(near);
        }
        let mut ordinals = [None; MANY];
        for (ordinal, line) in ordinals.iter_mut().zip(lines.iter().flatten()) {
            *ordinal = line.first();
            ordinal.iter().for_each(|ordinal| self.prefetch_segment(Ordinal(*ordinal)));
        }
        for ((found, ordinal), _) in found.iter_mut().zip(ordinals).zip(scalars) {
            *found = ordinal.and_then(|ordinal| Some((Ordinal(ordinal), self.cut_row(Ordinal(ordinal))?)));
            found.iter().for_each(|(_, row)| row.prefetch());
        }
        let text = self.first_text();
        for (found, scalar) in found.iter_mut().zip(scalars) {
            if found.is_none_or(|(_, row)| row.slot(slot) != *scalar) {
                *found = self.find_scalar_again(slot, *scalar);
            }
            if let (Some((_, row)), Some(text)) = (&*found, text) {
                row.prefetch_text(text);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn find_scalar_again(&self, slot: usize, scalar: u64) -> Found<'_> {
        self.find_scalar(slot, scalar)
    }

    #[inline(never)]
    fn find_any(&self, plan: &KeyPlan, key: KeyRef<'_>, tables: &Tables) -> Option<(Ordinal, RowAt<'_>)> {
        let is_match = |at| self.row(Ordinal(at)).is_some_and(|row| plan.matches(row, key, tables));
        let ordinal = self.keys.find(key.hash(self.seed), is_match).map(Ordinal)?;
        Some((ordinal, self.row(ordinal)?))
    }

    /// The hash under which the key index has the row's key.
    fn key_hash(&self, plan: &KeyPlan, row: RowAt<'_>, tables: &Tables) -> u64 {
        plan.with_key(row, tables, |key| key.hash(self.seed))
    }

    /// What its parts take in memory, as if it shared none of them.
    #[must_use]
    pub fn memory(&self) -> TableMemory {
        let segments: usize = self.segments().map(|(_, segment)| segment.memory_bytes()).sum();
        TableMemory {
            segment_bytes: segments
                + self.segments.memory_bytes()
                + self.former.as_ref().map_or(0, |former| former.segments.memory_bytes())
                + self.symbols.as_ref().map_or(0, |symbols| symbols.memory_bytes()),
            key_index_bytes: self.keys.memory_bytes(),
            live_bytes: self.live.memory_bytes(),
            dead_rows: self.segments().map(|(_, segment)| segment.rows() as usize).sum::<usize>() - self.len(),
        }
    }

    /// Bytes of segments that `newer` does not share.
    pub(crate) fn bytes_apart(&self, newer: &Table) -> u64 {
        self.segments_apart(newer).map(|(_, segment)| segment.memory_bytes() as u64).sum()
    }

    /// Builds the key index of a loaded table from its live rows, on `threads` threads. None where too many keys are equal.
    pub(crate) fn with_key_index(&self, tables: &Tables, threads: usize) -> Option<Table> {
        let Some(plan) = &self.key else { return Some(self.clone()) };
        let end = self.ordinal_ceiling();
        let share = end.div_ceil(threads.max(1) as u32).max(1);
        let shares: Vec<_> =
            (0..end).step_by(share as usize).map(|start| start..start.saturating_add(share).min(end)).collect();
        let keys = KeyIndex::build_parallel(self.len(), &shares, threads, |ordinals| {
            let ordinals = self.live.range(ordinals.clone());
            ordinals.filter_map(|ordinal| Some((self.key_hash(plan, self.row(Ordinal(ordinal))?, tables), ordinal)))
        });
        Some(Table { keys: keys?, ..self.clone() })
    }

    /// Live ordinals of one segment, ascending.
    pub fn live_in(&self, number: usize) -> impl Iterator<Item = u32> {
        let first = (number as u32) << self.segment_rows_log2;
        self.segment(number).into_iter().flat_map(move |segment| self.live_of(first, segment))
    }

    /// Live ordinals of the segment that begins at `first`, ascending.
    pub fn live_of(&self, first: u32, segment: &Segment) -> impl Iterator<Item = u32> {
        (first..first + segment.rows()).filter(|ordinal| self.live.contains(*ordinal))
    }

    /// All segments with rows, and the first ordinal of each; in the order of ordinals.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &Arc<Segment>)> {
        let mut own = placed(&self.segments, self.segment_rows_log2).peekable();
        let former = self.former.iter().flat_map(|former| placed(&former.segments, former.rows_log2));
        let mut former = former.peekable();
        std::iter::from_fn(move || {
            let is_former_next = match (own.peek(), former.peek()) {
                (Some((own, _)), Some((former, _))) => former < own,
                (None, _) => true,
                (_, None) => false,
            };
            if is_former_next { former.next() } else { own.next() }
        })
    }

    /// The segments that `other` does not have in the same place.
    pub fn segments_apart<'t>(&'t self, other: &'t Table) -> impl Iterator<Item = (u32, &'t Arc<Segment>)> {
        self.segments().filter(|(first, segment)| !other.has(*first, segment))
    }

    /// Whether it has this very segment from this ordinal on.
    #[must_use]
    pub fn has(&self, first: u32, segment: &Arc<Segment>) -> bool {
        self.segment_of(Ordinal(first)).is_some_and(|(at, own)| at == first && Arc::ptr_eq(own, segment))
    }

    /// The segment that has this ordinal, and its first ordinal.
    #[must_use]
    pub fn segment_of(&self, ordinal: Ordinal) -> Option<(u32, &Arc<Segment>)> {
        let number = ordinal.0 >> self.segment_rows_log2;
        match self.segment(number as usize) {
            Some(segment) => Some((number << self.segment_rows_log2, segment)),
            None => self.former.as_ref()?.segment_of(ordinal),
        }
    }

    /// Puts a segment in its place, or takes it away.
    fn place(&mut self, number: usize, segment: Option<Arc<Segment>>) {
        while self.segments.len() <= number {
            self.segments.push(None);
        }
        let bytes = |segment: &Option<Arc<Segment>>| segment.as_ref().map_or(0, |segment| segment.content_bytes());
        let place = self.segments.page_mut(number);
        self.content_bytes = self.content_bytes + bytes(&segment) - bytes(place);
        *place = segment;
    }

    /// A table of loaded segments. The caller has checked the segments; the key index comes with `with_key_index`.
    pub(crate) fn loaded(
        &self,
        segments: Vec<Option<Arc<Segment>>>,
        live: LiveSet,
        sums: Sums,
        has_digests: bool,
    ) -> Table {
        let content_bytes = segments.iter().flatten().map(|segment| segment.content_bytes()).sum();
        Table { segments: segments.into_iter().collect(), content_bytes, live, sums, has_digests, ..self.clone() }
    }

    /// Asserts the invariants above.
    ///
    /// # Panics
    /// When one is broken: for tests and debug builds.
    pub fn check_invariants(&self, tables: &Tables) {
        let mut sums = Sums::new(self.layout.columns.len());
        let mut scratch = Vec::new();
        let mut live = 0;
        for (first, segment) in self.segments() {
            let mut digest: u128 = 0;
            for ordinal in self.live_of(first, segment) {
                let row = self.row(Ordinal(ordinal)).expect("a live ordinal has a row");
                digest = digest.wrapping_add(sums.add_stored(Ordinal(ordinal), row, &mut scratch));
                live += 1;
            }
            if self.has_digests {
                assert_eq!(segment.digest(), digest, "the digest of the segment from ordinal {first} on");
            }
        }
        let content: u64 = self.segments().map(|(_, segment)| segment.content_bytes()).sum();
        assert_eq!(content, self.content_bytes, "the bytes of all segments");
        assert_eq!(live, self.live.len(), "every live ordinal has a row");
        assert_eq!(sums, self.sums, "the sums are those of the live records");
        let Some(plan) = &self.key else { return };
        assert_eq!(self.keys.len(), live, "the key index names live rows only");
        for ordinal in self.ordinals() {
            let row = self.row(ordinal).expect("a live ordinal has a row");
            let found = plan.with_key(row, tables, |key| self.find(key, tables));
            assert_eq!(found, Some(ordinal), "the key index finds every live row");
        }
    }
}

/// What a table takes in memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableMemory {
    /// Segments, their tree, and the symbol tables of packed text.
    pub(crate) segment_bytes: usize,
    /// The key index of a root.
    pub key_index_bytes: usize,
    /// The bitmap of live ordinals.
    pub(crate) live_bytes: usize,
    /// Rows that no record has.
    pub dead_rows: usize,
}

impl TableMemory {
    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.segment_bytes + self.key_index_bytes + self.live_bytes
    }
}

/// Segments with rows, and the first ordinal of each.
fn placed(segments: &Directory<Option<Arc<Segment>>>, rows_log2: u8) -> impl Iterator<Item = (u32, &Arc<Segment>)> {
    (0_u32..).zip(segments.iter()).filter_map(move |(number, segment)| Some((number << rows_log2, segment.as_ref()?)))
}

fn blank(layout: &Layout) -> Segment {
    let mut builder = SegmentBuilder::new(layout, None);
    builder.push_dead();
    builder.finish(0)
}
