//! A snapshot's blob as a state: first the footer, then its runs in any order, then the state.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::ops::Range;
use std::sync::Arc;

use crate::blob::footer::unsound;
use crate::blob::read::unpack;
use crate::blob::symbols::read_symbols;
use crate::blob::{BlobError, BlobKind, Footer, SectionInfo, TypeInfo};
use crate::digest::{PRESENCE, Sums, state_digest};
use crate::held::Selection;
use crate::ids::{ColumnId, DatasetId, TypeId, Version};
use crate::index::LiveSet;
use crate::segment::{self, PartMap, Segment, SegmentError};
use crate::state::State;
use crate::table::Table;

/// Reads a snapshot piece by piece: first the footer, then its runs in any order, then the state.
pub struct SnapshotReader {
    footer: Footer,
    /// Empty tables of what is held of the snapshot's schema.
    empty: State,
    /// Where each run of sections that is held starts and ends in the footer's list.
    runs: Vec<Range<usize>>,
    ceilings: Vec<u32>,
    /// By type: where the columns that are held are among those that are stored.
    maps: Vec<PartMap>,
}

/// The segments of one run, and a bit for each of their rows: whether it is live.
pub struct DecodedRun {
    type_id: TypeId,
    segments: Vec<(Segment, Box<[u8]>)>,
}

impl SnapshotReader {
    /// Checks the footer: it is this dataset's, its digests sum to `digest`, what `selection` holds of it needs no more
    /// than `bytes_max`. `seed` is this process's, for key indexes.
    pub fn new(
        footer: Footer,
        dataset: DatasetId,
        digest: u128,
        selection: &Selection,
        seed: u64,
        bytes_max: u64,
    ) -> Result<SnapshotReader, BlobError> {
        footer.expect(dataset, BlobKind::Snapshot)?;
        let schema = footer.schema.clone().ok_or_else(|| unsound("a snapshot without its schema"))?;
        schema.check().map_err(unsound)?;
        if footer.types.len() != schema.types.len()
            || footer.types.iter().zip(schema.iter()).any(|(info, (id, _))| info.type_id != id)
        {
            return Err(unsound("its types are not its schema's"));
        }
        let found = state_digest(footer.types.iter().map(|info| (info.type_id, total(info))));
        if found != digest {
            return Err(BlobError::Digest { expected: digest, found });
        }
        let rooms = footer.types.iter().zip(&schema.types);
        let ceilings = rooms.map(|(info, of_type)| info.room.saturating_mul(of_type.segment_rows())).collect();
        let empty = State::empty_of(selection, Arc::new(schema), seed)?;
        let is_held = |id: TypeId| id.index() < empty.tables().len() && !empty.lacks_type(id);
        let runs = runs_in(&footer)
            .into_iter()
            .filter(|run| footer.sections.get(run.start).is_some_and(|section| is_held(section.type_id)));
        let runs: Vec<_> = runs.collect();
        // A pointer for every place in a tree, a slot in the key index for every row: a coarse bound, made before
        // anything is allocated.
        let held_types = footer.types.iter().filter(|info| is_held(info.type_id));
        let places: u64 = held_types.map(|info| u64::from(info.room).saturating_mul(16)).sum();
        let sections = runs.iter().flat_map(|run| footer.sections.get(run.clone()).unwrap_or_default());
        let needed = footer.bytes_of(sections).saturating_add(places);
        if needed > bytes_max {
            return Err(BlobError::TooLarge { needed, limit: bytes_max });
        }
        let empty = empty.with_symbols(&read_symbols(&footer, &empty)?);
        let maps = empty.tables().iter().map(|table| {
            let stored = empty.stored_layout(table.layout().type_id);
            PartMap::new(table.layout(), &[stored]).ok_or_else(|| unsound("a held column is not stored"))
        });
        let maps = maps.collect::<Result<_, _>>()?;
        let mut reader = SnapshotReader { runs, footer, empty, ceilings, maps };
        reader.check_types()?;
        reader.footer.schema = None;
        reader.footer.symbols = Vec::new();
        Ok(reader)
    }

    /// The footer.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The bytes of each run in the object: sections that are decoded together. Only those of what is held.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.runs.iter().map(|run| match self.sections(run) {
            [first, .., last] => first.offset..last.end(),
            [only] => only.offset..only.end(),
            [] => 0..0,
        })
    }

    /// The sections of a run.
    fn sections(&self, run: &Range<usize>) -> &[SectionInfo] {
        self.footer.sections.get(run.clone()).unwrap_or_default()
    }

    fn check_types(&self) -> Result<(), BlobError> {
        if self.footer.sections.iter().any(|section| section.type_id.index() >= self.footer.types.len()) {
            return Err(unsound("a section is of a type that its schema lacks"));
        }
        for info in &self.footer.types {
            let table = self.empty.table(info.type_id);
            let columns =
                self.empty.stored_layout(info.type_id).columns.iter().map(|column| column.id).chain([PRESENCE]);
            if !info.sums.iter().map(|(column, _)| *column).eq(columns) {
                return Err(unsound("its sums are not its columns'"));
            }
            let of_segments = info.segments.iter().fold(0, |sum: u128, segment| sum.wrapping_add(segment.digest));
            if of_segments != total(info) {
                return Err(BlobError::Digest { expected: total(info), found: of_segments });
            }
            if u64::from(info.room).saturating_mul(u64::from(table.segment_rows())) > 1 << 32 {
                return Err(unsound("it has room for more ordinals than a type may have"));
            }
            let numbers = info.segments.iter().map(|segment| segment.number);
            if !numbers.clone().is_sorted_by(|a, b| a < b) || numbers.clone().any(|number| number >= info.room) {
                return Err(unsound("its segments are out of order"));
            }
        }
        Ok(())
    }

    /// Decodes and validates one run from its bytes in the object. Runs may be decoded in parallel; `plain` is room for
    /// what it decompresses to, worth keeping from one run to the next.
    pub fn decode_run(&self, run: usize, stored: &[u8], plain: &mut Vec<u8>) -> Result<DecodedRun, BlobError> {
        let run = self.runs.get(run).ok_or_else(|| unsound("it has fewer runs"))?;
        let sections = self.sections(run);
        let first = sections.first().ok_or_else(|| unsound("a run has no section"))?;
        plain.clear();
        let mut rest = stored;
        for (number, section) in run.clone().zip(sections) {
            let bytes = take(&mut rest, section.stored as usize).ok_or(BlobError::Magic { place: "middle" })?;
            unpack(number, section, bytes, plain)?;
        }
        let table = self.empty.table(first.type_id);
        let mut rest = plain.as_slice();
        let mut segments = Vec::new();
        while !rest.is_empty() {
            segments.push(self.decode_segment(table, &mut rest)?);
        }
        Ok(DecodedRun { type_id: first.type_id, segments })
    }

    fn decode_segment(&self, table: &Table, rest: &mut &[u8]) -> Result<(Segment, Box<[u8]>), BlobError> {
        let short = || unsound("a section ends within a segment");
        let bytes = take_u32(rest).ok_or_else(short)? as usize;
        let mut body = take(rest, bytes).ok_or_else(short)?;
        let rows = take_u32(&mut body).ok_or_else(short)?;
        let bits = take(&mut body, (rows as usize).div_ceil(8)).ok_or_else(short)?;
        let mut live: Box<[u8]> = bits.into();
        if let Some(last) = live.last_mut() {
            // Bits of rows that are not there: the last byte holds 1 to 8 rows.
            let spare = rows.wrapping_neg() % 8;
            *last &= u8::MAX.unbounded_shr(spare);
        }
        let ceilings = |id: TypeId| self.ceilings.get(id.index()).copied().unwrap_or(0);
        let type_id = table.layout().type_id;
        let parts = [(&**self.empty.stored_layout(type_id), body)];
        let wrong = |source| {
            let type_name = self.empty.schema().get(type_id).name.clone();
            BlobError::Segment { type_name, number: 0, source }
        };
        let map = self.maps.get(type_id.index()).ok_or_else(|| wrong(SegmentError::Parts))?;
        let (rows_max, symbols) = (table.segment_rows(), table.symbols());
        let segment =
            segment::decode_parts(table.layout(), map, &parts, rows_max, &ceilings, symbols).map_err(wrong)?;
        if segment.rows() == rows {
            Ok((segment, live))
        } else {
            Err(unsound("a segment's rows are not those of its live bits"))
        }
    }

    /// The state, from all runs in their order; key indexes are built on `threads` threads.
    pub fn finish(self, runs: Vec<DecodedRun>, version: Version, threads: usize) -> Result<State, BlobError> {
        let mut segments = self.footer.types.iter().map(|_| Vec::new()).collect::<Vec<_>>();
        for run in runs {
            segments.get_mut(run.type_id.index()).ok_or_else(|| unsound("it has fewer types"))?.extend(run.segments);
        }
        let mut tables = Vec::new();
        for (info, decoded) in self.footer.types.iter().zip(segments) {
            let table = self.empty.table(info.type_id);
            tables.push(if self.empty.lacks_type(info.type_id) {
                Arc::clone(table)
            } else {
                let is_whole = table.layout() == self.empty.stored_layout(info.type_id);
                Arc::new(loaded(table, info, decoded, is_whole)?)
            });
        }
        let sums = self.footer.types.iter().flat_map(sums_of);
        let empty = self.empty.clone().with_sums_of_unheld(sums);
        let records = empty.with_tables(empty.schema().clone(), tables).with_version(version);
        let indexed =
            records.tables().iter().map(|table| table.with_key_index(records.tables(), threads).map(Arc::new));
        let indexed = indexed.collect::<Option<_>>().ok_or_else(|| unsound("thousands of its records have one key"))?;
        Ok(records.with_tables(records.schema().clone(), indexed))
    }
}

fn take<'b>(rest: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (four, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*four))
}

fn total(info: &TypeInfo) -> u128 {
    info.sums.iter().fold(0, |sum, (_, column)| sum.wrapping_add(*column))
}

fn runs_in(footer: &Footer) -> Vec<Range<usize>> {
    let sections = footer.sections.iter().enumerate();
    let starts: Vec<_> = sections.filter(|(_, section)| !section.continues).map(|(index, _)| index).collect();
    let ends = starts.iter().skip(1).copied().chain([footer.sections.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

fn sums_of(info: &TypeInfo) -> impl Iterator<Item = (TypeId, ColumnId, u128)> {
    info.sums.iter().map(|(column, sum)| (info.type_id, *column, *sum))
}

/// A table of decoded segments, placed by the footer. `is_whole` says whether all columns are held: the footer's segments
/// have the digests of all columns.
fn loaded(
    empty: &Table,
    info: &TypeInfo,
    decoded: Vec<(Segment, Box<[u8]>)>,
    is_whole: bool,
) -> Result<Table, BlobError> {
    if decoded.len() != info.segments.len() {
        return Err(unsound("it has more or fewer segments than it names"));
    }
    let mut placed = vec![None; info.room as usize];
    let mut live = LiveSet::new();
    for (segment, (rows, alive)) in info.segments.iter().zip(decoded) {
        let place =
            placed.get_mut(segment.number as usize).ok_or_else(|| unsound("a segment is beyond its type's room"))?;
        let digest = if is_whole { segment.digest } else { 0 };
        *place = Some(Arc::new(rows.with_digest(digest)));
        // That 32 bits hold the ordinals of every segment was checked with the types.
        live.insert_bits(segment.number.saturating_mul(empty.segment_rows()), &alive);
    }
    let sum_of = |wanted: ColumnId| info.sums.iter().find(|(column, _)| *column == wanted).map_or(0, |(_, sum)| *sum);
    let columns = empty.layout().columns.iter().map(|column| sum_of(column.id)).collect();
    Ok(empty.loaded(placed, live, Sums { columns, presence: sum_of(PRESENCE) }, is_whole))
}
