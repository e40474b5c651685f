//! A state as the runs of a snapshot, and their footer.

use crate::blob::symbols::all_symbols;
use crate::blob::write::{Run, assemble};
use crate::blob::{Blob, BlobKind, Footer, SECTION_BYTES_MAX, SegmentInfo, TypeInfo};
use crate::digest::PRESENCE;
use crate::ids::DatasetId;
use crate::parallel;
use crate::segment;
use crate::state::State;
use crate::table::Table;

/// The blob of a whole state.
#[must_use]
pub fn encode_snapshot(dataset: DatasetId, state: &State, threads: usize) -> Blob {
    let state = &state.settled(threads);
    let runs = state.tables().iter().flat_map(|table| runs_of(table)).collect::<Vec<_>>();
    let sections = parallel::map(&runs, threads, |(table, numbers)| {
        let mut plain = Vec::new();
        numbers.iter().for_each(|number| encode_segment(table, *number, &mut plain));
        Run::new(table.layout().type_id, &plain)
    });
    let types = state.tables().iter().map(|table| type_info(table)).collect();
    let (schema, symbols) = (Some(state.schema().as_ref().clone()), all_symbols(state));
    assemble(Footer { dataset, kind: BlobKind::Snapshot, schema, sections: Vec::new(), types, symbols }, sections)
}

/// Runs of segments of about a section each; a segment longer than that is alone.
fn runs_of(table: &Table) -> Vec<(&Table, Vec<usize>)> {
    let mut runs: Vec<(&Table, Vec<usize>)> = Vec::new();
    let mut bytes = 0;
    for number in 0..table.segment_count() {
        let Some(segment) = table.segment(number) else { continue };
        bytes += segment.memory_bytes();
        match runs.last_mut() {
            Some((_, run)) if bytes <= SECTION_BYTES_MAX => run.push(number),
            _ => {
                bytes = segment.memory_bytes();
                runs.push((table, vec![number]));
            }
        }
    }
    runs
}

fn encode_segment(table: &Table, number: usize, out: &mut Vec<u8>) {
    let segment = table.segment(number).expect("runs name segments that exist");
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&segment.rows().to_le_bytes());
    let bits = out.len();
    out.resize(bits + (segment.rows() as usize).div_ceil(8), 0);
    let first = number as u32 * table.segment_rows();
    for ordinal in table.live_in(number) {
        let row = (ordinal - first) as usize;
        out[bits + row / 8] |= 1 << (row % 8);
    }
    segment::encode(table.layout(), segment, out);
    let bytes = u32::try_from(out.len() - start - 4).expect("a segment has at most 1 GiB");
    out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
}

fn type_info(table: &Table) -> TypeInfo {
    let numbers = (0..table.segment_count()).filter_map(|number| Some((number, table.segment(number)?)));
    let segments = numbers.map(|(number, segment)| SegmentInfo { number: number as u32, digest: segment.digest() });
    let columns = table.layout().columns.iter().map(|column| column.id);
    let sums = columns.zip(table.sums().columns.iter().copied()).chain([(PRESENCE, table.sums().presence)]);
    TypeInfo {
        type_id: table.layout().type_id,
        room: table.segment_count() as u32,
        segments: segments.collect(),
        sums: sums.collect(),
    }
}
