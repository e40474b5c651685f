//! A snapshot's blob as a state: first the footer, then the runs that are held in any order, then the state.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::ops::Range;
use std::sync::Arc;

use crate::blob::footer::unsound;
use crate::blob::read::unpack;
use crate::blob::symbols::read_symbols;
use crate::blob::{BlobError, BlobKind, Footer, SectionInfo, SectionPlace, TypeInfo};
use crate::digest::{PRESENCE, Sums, state_digest};
use crate::held::Selection;
use crate::ids::{ColumnId, DatasetId, TypeId, Version};
use crate::index::LiveSet;
use crate::layout::Layout;
use crate::segment::{self, PartMap, Segment, SegmentError};
use crate::state::State;
use crate::table::Table;

/// Reads a snapshot piece by piece: first the footer, then its runs in any order, then the state.
pub struct SnapshotReader {
    footer: Footer,
    /// Empty tables of what is held of the snapshot's schema.
    empty: State,
    /// By type.
    types: Vec<StoredType>,
    /// The runs of the types that are held.
    runs: Vec<HeldRun>,
    ceilings: Vec<u32>,
}

/// How a type's columns are stored in parts.
struct StoredType {
    /// The layouts of the parts that are held.
    parts: Vec<Layout>,
    /// Where the columns that are held are in them.
    map: PartMap,
}

/// Segments that are decoded together.
struct HeldRun {
    type_id: TypeId,
    /// How many.
    segments: u32,
    /// The sections of the live rows, then of each part that is held, as numbers in the footer's list.
    sections: Vec<Range<usize>>,
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
        let places = places_of(&footer)?;
        let (mut types, mut runs) = (Vec::new(), Vec::new());
        for (info, places) in footer.types.iter().zip(&places) {
            check_type(&empty, info)?;
            let (held, stored) = StoredType::new(&empty, info)?;
            types.push(stored);
            if !empty.lacks_type(info.type_id) {
                runs.extend(held_runs(info, places, &held));
            }
        }
        // A pointer for every place in a tree, a slot in the key index for every row: a coarse bound, made before
        // anything is allocated.
        let held_types = footer.types.iter().filter(|info| !empty.lacks_type(info.type_id));
        let rooms: u64 = held_types.map(|info| u64::from(info.room).saturating_mul(16)).sum();
        let sections = runs.iter().flat_map(|run| run.sections.iter().flat_map(|part| sections_in(&footer, part)));
        let needed = footer.bytes_of(sections).saturating_add(rooms);
        if needed > bytes_max {
            return Err(BlobError::TooLarge { needed, limit: bytes_max });
        }
        let empty = empty.with_symbols(&read_symbols(&footer, &empty)?);
        let footer = Footer { schema: None, symbols: Vec::new(), ..footer };
        Ok(SnapshotReader { footer, empty, types, runs, ceilings })
    }

    /// The footer.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The runs that are held, each as the bytes of its sections in the object, in their order there.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = Vec<Range<u64>>> {
        self.runs.iter().map(|run| {
            let sections = run.sections.iter().flat_map(|part| sections_in(&self.footer, part));
            sections.map(|section| section.offset..section.end()).collect()
        })
    }

    /// Decodes and validates one run; `stored` gives the bytes of its sections in the object. Runs may be decoded in
    /// parallel; `plain` is room for what they decompress to, worth keeping from one run to the next.
    pub fn decode_run<'b>(
        &self,
        run: usize,
        stored: &dyn Fn(Range<u64>) -> Option<&'b [u8]>,
        plain: &mut Vec<u8>,
    ) -> Result<DecodedRun, BlobError> {
        let run = self.runs.get(run).ok_or_else(|| unsound("it has fewer runs"))?;
        plain.clear();
        let mut ends = Vec::with_capacity(run.sections.len());
        for part in &run.sections {
            for (number, section) in part.clone().zip(sections_in(&self.footer, part)) {
                let bytes = stored(section.offset..section.end()).ok_or(BlobError::Magic { place: "middle" })?;
                unpack(number, section, bytes, plain)?;
            }
            ends.push(plain.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut parts = starts.zip(&ends).map(|(start, end)| plain.get(start..*end).unwrap_or_default());
        let mut live = parts.next().unwrap_or_default();
        let mut parts: Vec<&[u8]> = parts.collect();
        let mut segments = Vec::new();
        for _ in 0..run.segments {
            segments.push(self.decode_segment(run.type_id, &mut live, &mut parts)?);
        }
        if !live.is_empty() || parts.iter().any(|part| !part.is_empty()) {
            return Err(unsound("a run goes on after its last segment"));
        }
        Ok(DecodedRun { type_id: run.type_id, segments })
    }

    fn decode_segment(
        &self,
        type_id: TypeId,
        live: &mut &[u8],
        parts: &mut [&[u8]],
    ) -> Result<(Segment, Box<[u8]>), BlobError> {
        let short = || unsound("a section ends within a segment");
        let rows = take_u32(live).ok_or_else(short)?;
        let bits = take(live, (rows as usize).div_ceil(8)).ok_or_else(short)?;
        let mut live: Box<[u8]> = bits.into();
        if let Some(last) = live.last_mut() {
            // Bits of rows that are not there: the last byte holds 1 to 8 rows.
            let spare = rows.wrapping_neg() % 8;
            *last &= u8::MAX.unbounded_shr(spare);
        }
        let wrong = |source| {
            let type_name = self.empty.schema().get(type_id).name.clone();
            BlobError::Segment { type_name, number: 0, source }
        };
        let stored = self.types.get(type_id.index()).ok_or_else(|| wrong(SegmentError::Parts))?;
        let mut bodies = Vec::with_capacity(parts.len());
        for (layout, part) in stored.parts.iter().zip(parts) {
            let bytes = take_u32(part).ok_or_else(short)? as usize;
            bodies.push((layout, take(part, bytes).ok_or_else(short)?));
        }
        let table = self.empty.table(type_id);
        let ceilings = |id: TypeId| self.ceilings.get(id.index()).copied().unwrap_or(0);
        let (layout, rows_max) = (table.layout(), table.segment_rows());
        let segment = segment::decode_parts(layout, &stored.map, &bodies, rows_max, &ceilings, table.symbols());
        let segment = segment.map_err(wrong)?;
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

impl StoredType {
    /// Which of a type's parts are held, by their numbers; and how.
    fn new(empty: &State, info: &TypeInfo) -> Result<(Vec<usize>, StoredType), BlobError> {
        let (held, stored) = (empty.table(info.type_id).layout(), empty.stored_layout(info.type_id));
        let (mut numbers, mut parts, mut first) = (Vec::new(), Vec::new(), 0_usize);
        for (number, columns) in info.parts.iter().enumerate() {
            let end = first.saturating_add(usize::from(*columns));
            let of_part = stored.columns.get(first..end).filter(|of_part| !of_part.is_empty());
            let of_part = of_part.ok_or_else(|| unsound("its parts are not its columns"))?;
            if of_part.iter().any(|column| held.columns.iter().any(|held| held.id == column.id)) {
                let fields: Vec<usize> = (first..end).collect();
                parts.push(Layout::of_fields(empty.dataset_schema(), info.type_id, &fields)?);
                numbers.push(number);
            }
            first = end;
        }
        if first != stored.columns.len() {
            return Err(unsound("its parts are not its columns"));
        }
        let map = PartMap::new(held, &parts.iter().collect::<Vec<_>>());
        let map = map.ok_or_else(|| unsound("a held column is not stored"))?;
        Ok((numbers, StoredType { parts, map }))
    }
}

/// By type: where the sections of each part of each run are in the footer's list. Every part of every run is there once.
fn places_of(footer: &Footer) -> Result<Vec<Vec<Range<usize>>>, BlobError> {
    let mut places = Vec::with_capacity(footer.types.len());
    let mut left = footer.sections.len();
    for info in &footer.types {
        let wanted = info.runs.len().saturating_mul(info.parts.len().saturating_add(1));
        // A part without its section is refused before there is room for it.
        left = left.checked_sub(wanted).ok_or_else(|| unsound("a run lacks a section"))?;
        places.push(vec![0..0; wanted]);
        let segments = info.runs.iter().fold(0_u64, |sum, run| sum.saturating_add(u64::from(*run)));
        if segments != info.segments.len() as u64 || info.runs.contains(&0) {
            return Err(unsound("its runs are not its segments"));
        }
    }
    for (number, section) in footer.sections.iter().enumerate() {
        let SectionPlace { type_id, run, part } = section.place;
        let info = footer.types.get(type_id.index());
        let of_type = places.get_mut(type_id.index());
        let (info, of_type) =
            info.zip(of_type).ok_or_else(|| unsound("a section is of a type that its schema lacks"))?;
        let parts = info.parts.len().saturating_add(1);
        let at = (run as usize).saturating_mul(parts).saturating_add(usize::from(part));
        let place = of_type.get_mut(at).filter(|_| usize::from(part) < parts);
        let place = place.ok_or_else(|| unsound("a section is of no run"))?;
        if section.continues {
            place.end = number.saturating_add(1);
        } else if *place == (0..0) {
            *place = number..number.saturating_add(1);
        } else {
            return Err(unsound("a part of a run is there twice"));
        }
    }
    if places.iter().flatten().any(Range::is_empty) {
        return Err(unsound("a run lacks a section"));
    }
    Ok(places)
}

/// The runs of a type, with the sections of its live rows and of these parts.
fn held_runs<'p>(
    info: &TypeInfo,
    places: &'p [Range<usize>],
    parts: &'p [usize],
) -> impl Iterator<Item = HeldRun> + 'p {
    let (type_id, runs) = (info.type_id, info.runs.clone());
    let of_runs = places.chunks(info.parts.len().saturating_add(1));
    of_runs.zip(runs).map(move |(places, segments)| {
        let of_parts = parts.iter().filter_map(|part| places.get(part.saturating_add(1)));
        let sections = places.first().into_iter().chain(of_parts).cloned().collect();
        HeldRun { type_id, segments, sections }
    })
}

fn sections_in<'f>(footer: &'f Footer, part: &Range<usize>) -> &'f [SectionInfo] {
    footer.sections.get(part.clone()).unwrap_or_default()
}

fn check_type(empty: &State, info: &TypeInfo) -> Result<(), BlobError> {
    let table = empty.table(info.type_id);
    let columns = empty.stored_layout(info.type_id).columns.iter().map(|column| column.id).chain([PRESENCE]);
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
    Ok(())
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
