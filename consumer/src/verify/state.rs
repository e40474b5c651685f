//! What a state's records alone prove: digests, counts, and that each key leads to its record.

use cenote_state::digest::{Sums, state_digest};
use cenote_state::ids::Ordinal;
use cenote_state::state::State;

use super::VerifiedType;
use super::references::{count_dangling_keys, count_references};
use crate::error::VerifyCause;

/// Checks everything that a state's records alone can prove.
pub(super) fn check_state(state: &State) -> Result<Vec<VerifiedType>, VerifyCause> {
    let place = format!("version {}", state.version());
    check_sums(state).map_err(|what| VerifyCause::damaged(&place, what))?;
    check_keys(state).map_err(|what| VerifyCause::damaged(&place, what))?;
    let references = count_references(state).map_err(|what| VerifyCause::damaged(&place, what))?;
    let dangling = count_dangling_keys(state);
    let present = state.schema().iter().filter(|(_, of_type)| !of_type.fields.is_empty());
    Ok(present
        .map(|(id, of_type)| VerifiedType {
            name: of_type.name.clone(),
            is_root: of_type.is_root(),
            records: state.table(id).len() as u64,
            references: references[id.index()],
            dangling_keys: dangling.get(of_type.name.as_str()).copied().unwrap_or_default(),
        })
        .collect())
}

/// Checks that the digests of a state are those of its records.
pub(super) fn check_sums(state: &State) -> Result<(), String> {
    let mut totals = Vec::new();
    let mut scratch = Vec::new();
    for (table, of_type) in state.tables().iter().zip(&state.schema().types) {
        let mut sums = Sums::new(table.layout().columns.len());
        let mut live = 0;
        for (first, segment) in table.segments() {
            let mut digest: u128 = 0;
            for ordinal in table.live_of(first, segment).map(Ordinal) {
                let row = table.row(ordinal).ok_or_else(|| no_row(&of_type.name, ordinal))?;
                digest = digest.wrapping_add(sums.add_stored(ordinal, row, &mut scratch));
                live += 1;
            }
            if segment.digest() != digest {
                return Err(format!(
                    "the segment of {} from ordinal {first} on has another digest than its records",
                    of_type.name
                ));
            }
        }
        if live != table.len() {
            return Err(format!("{} has {live} records with rows, and {} that are live", of_type.name, table.len()));
        }
        for (field, (found, carried)) in of_type.fields.iter().zip(sums.columns.iter().zip(&table.sums().columns)) {
            if found != carried {
                return Err(format!(
                    "the values of {}.{} have another digest than was committed",
                    of_type.name, field.name
                ));
            }
        }
        if sums.presence != table.sums().presence {
            return Err(format!("the ordinals of {} have another digest than was committed", of_type.name));
        }
        totals.push((table.layout().type_id, sums.total()));
    }
    let found = state_digest(totals.into_iter());
    if found == state.digest() { Ok(()) } else { Err("its records have another digest than was committed".to_owned()) }
}

pub(super) fn no_row(type_name: &str, ordinal: Ordinal) -> String {
    format!("record {ordinal} of {type_name} is live and has no row")
}

/// Checks that every root record is found by its key, and that no two have one key.
fn check_keys(state: &State) -> Result<(), String> {
    for (table, of_type) in state.tables().iter().zip(&state.schema().types) {
        let Some(plan) = table.key_plan() else { continue };
        for ordinal in table.ordinals() {
            let row = table.row(ordinal).ok_or_else(|| no_row(&of_type.name, ordinal))?;
            match plan.with_key(row, state.tables(), |key| table.find(key, state.tables())) {
                Some(found) if found == ordinal => {}
                Some(found) => return Err(format!("records {found} and {ordinal} of {} have one key", of_type.name)),
                None => return Err(format!("record {ordinal} of {} is not found by its key", of_type.name)),
            }
        }
    }
    Ok(())
}
