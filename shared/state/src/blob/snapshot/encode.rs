//! A state as the sections of a snapshot, and their footer.
//!
//! Rules: how a type is cut into parts and runs follows from its rows alone, so that equal states give equal bytes (I12).

use std::ops::Range;

use crate::blob::symbols::all_symbols;
use crate::blob::write::{Run, assemble};
use crate::blob::{Blob, BlobKind, Footer, SECTION_BYTES_MAX, SectionPlace, SegmentInfo, TypeInfo};
use crate::digest::PRESENCE;
use crate::ids::DatasetId;
use crate::layout::Layout;
use crate::parallel;
use crate::segment::{self, PartMap};
use crate::state::State;
use crate::table::Table;

/// A column of which a run has as many bytes is stored apart; neighbours that have fewer are together.
const PART_BYTES: usize = 64 << 10;
/// Runs of so many bytes stand part by part, so that a few columns of them are few ranges.
const BATCH_BYTES: usize = 16 << 20;

/// The blob of a whole state.
#[must_use]
pub fn encode_snapshot(dataset: DatasetId, state: &State, threads: usize) -> Blob {
    let state = &state.settled(threads);
    let cuts: Vec<Cut<'_>> = state.tables().iter().map(|table| Cut::new(state, table)).collect();
    let pieces: Vec<(&Cut<'_>, Piece)> =
        cuts.iter().flat_map(|cut| cut.pieces().into_iter().map(move |piece| (cut, piece))).collect();
    let sections = parallel::map(&pieces, threads, |(cut, piece)| {
        let place =
            SectionPlace { type_id: cut.table.layout().type_id, run: piece.run as u32, part: piece.part as u16 };
        Run::new(place, &cut.encode(*piece))
    });
    let types = cuts.iter().map(Cut::type_info).collect();
    let (schema, symbols) = (Some(state.schema().as_ref().clone()), all_symbols(state));
    assemble(Footer { dataset, kind: BlobKind::Snapshot, schema, sections: Vec::new(), types, symbols }, sections)
}

/// How a type is cut: its columns into parts, its segments into runs.
struct Cut<'t> {
    table: &'t Table,
    /// Of each part: its layout, and where its slots are in the segments.
    parts: Vec<(Layout, PartMap)>,
    /// The segments of each run.
    runs: Vec<Vec<usize>>,
}

/// One part of one run. Part 0 is which rows are live; the columns' parts come after it.
#[derive(Clone, Copy)]
struct Piece {
    run: usize,
    part: usize,
}

impl<'t> Cut<'t> {
    fn new(state: &State, table: &'t Table) -> Cut<'t> {
        let runs = runs_of(table);
        let layout = table.layout();
        let parts = parts_of(table, runs.len()).into_iter().map(|fields| {
            let fields: Vec<usize> = fields.collect();
            let part = Layout::of_fields(state.schema(), layout.type_id, &fields).expect("the type's own was made");
            let map = PartMap::new(&part, &[layout]).expect("a part has the type's columns");
            (part, map)
        });
        Cut { table, parts: parts.collect(), runs }
    }

    /// All parts of all runs in the order in which they are stored: batch by batch, part by part, run by run.
    fn pieces(&self) -> Vec<Piece> {
        let bytes = |run: &Vec<usize>| {
            let segments = run.iter().filter_map(|number| self.table.segment(*number));
            segments.map(|segment| segment.memory_bytes()).sum::<usize>()
        };
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < self.runs.len() {
            let mut left = BATCH_BYTES;
            let fits = |run: &&Vec<usize>| {
                let fits = left.checked_sub(bytes(run));
                left = fits.unwrap_or(0);
                fits.is_some()
            };
            let end = start + self.runs[start..].iter().take_while(fits).count().max(1);
            pieces.extend((0..=self.parts.len()).flat_map(|part| (start..end).map(move |run| Piece { run, part })));
            start = end;
        }
        pieces
    }

    fn encode(&self, piece: Piece) -> Vec<u8> {
        let mut out = Vec::new();
        for number in &self.runs[piece.run] {
            match piece.part.checked_sub(1) {
                None => self.encode_live(*number, &mut out),
                Some(part) => self.encode_part(*number, part, &mut out),
            }
        }
        out
    }

    fn encode_live(&self, number: usize, out: &mut Vec<u8>) {
        let segment = self.table.segment(number).expect("runs name segments that exist");
        out.extend_from_slice(&segment.rows().to_le_bytes());
        let bits = out.len();
        out.resize(bits + (segment.rows() as usize).div_ceil(8), 0);
        let first = number as u32 * self.table.segment_rows();
        for ordinal in self.table.live_in(number) {
            let row = (ordinal - first) as usize;
            out[bits + row / 8] |= 1 << (row % 8);
        }
    }

    fn encode_part(&self, number: usize, part: usize, out: &mut Vec<u8>) {
        let segment = self.table.segment(number).expect("runs name segments that exist");
        let (layout, map) = &self.parts[part];
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        segment::encode_part(layout, map, segment, out);
        let bytes = u32::try_from(out.len() - start - 4).expect("a segment has at most 1 GiB");
        out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    fn type_info(&self) -> TypeInfo {
        let table = self.table;
        let numbers = (0..table.segment_count()).filter_map(|number| Some((number, table.segment(number)?)));
        let segments = numbers.map(|(number, segment)| SegmentInfo { number: number as u32, digest: segment.digest() });
        let columns = table.layout().columns.iter().map(|column| column.id);
        let sums = columns.zip(table.sums().columns.iter().copied()).chain([(PRESENCE, table.sums().presence)]);
        TypeInfo {
            type_id: table.layout().type_id,
            room: table.segment_count() as u32,
            segments: segments.collect(),
            runs: self.runs.iter().map(|run| run.len() as u32).collect(),
            parts: self.parts.iter().map(|(layout, _)| layout.columns.len() as u16).collect(),
            sums: sums.collect(),
        }
    }
}

/// Runs of segments of about a section each, were all columns in it; a segment longer than that is alone.
fn runs_of(table: &Table) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for number in 0..table.segment_count() {
        let Some(segment) = table.segment(number) else { continue };
        bytes += segment.memory_bytes();
        match runs.last_mut() {
            Some(run) if bytes <= SECTION_BYTES_MAX => run.push(number),
            _ => {
                bytes = segment.memory_bytes();
                runs.push(vec![number]);
            }
        }
    }
    runs
}

/// The fields of each part: large columns alone, small neighbours together.
fn parts_of(table: &Table, runs: usize) -> Vec<Range<usize>> {
    let columns = &table.layout().columns;
    let segments = (0..table.segment_count()).filter_map(|number| table.segment(number));
    let mut bytes = vec![0; columns.len()];
    for segment in segments {
        let of_segment = segment::column_bytes(table.layout(), segment);
        bytes.iter_mut().zip(of_segment).for_each(|(bytes, more)| *bytes += more);
    }
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut together = 0;
    for (field, bytes) in bytes.into_iter().map(|bytes| bytes / runs.max(1)).enumerate() {
        match parts.last_mut() {
            Some(last) if together + bytes < PART_BYTES => {
                (last.end, together) = (field + 1, together + bytes);
            }
            _ => {
                parts.push(field..field + 1);
                together = bytes;
            }
        }
    }
    parts
}
