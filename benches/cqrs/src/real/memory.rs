//! What a server holds in memory, with every process that it has started.
//!
//! Proportional shares are counted (`Pss`): PostgreSQL's processes have most of their memory in common, and it is there
//! once.

use std::collections::BTreeSet;

use procfs::ProcResult;
use procfs::process::{Process, all_processes};

/// Bytes of this process and of all its descendants; 0 if there is no such process, or none that may be looked into.
pub(super) fn tree_bytes(root: i32) -> u64 {
    let processes = all_processes().into_iter().flatten().flatten();
    let parents: Vec<(i32, i32)> =
        processes.filter_map(|process| Some((process.pid, process.stat().ok()?.ppid))).collect();
    let mut tree = BTreeSet::from([root]);
    loop {
        let below = parents.iter().filter(|(_, parent)| tree.contains(parent)).map(|(process, _)| *process);
        let wider: BTreeSet<i32> = tree.iter().copied().chain(below).collect();
        if wider.len() == tree.len() {
            return tree.iter().filter_map(|process| share(*process).ok()).sum();
        }
        tree = wider;
    }
}

fn share(process: i32) -> ProcResult<u64> {
    let maps = Process::new(process)?.smaps_rollup()?.memory_map_rollup;
    Ok(maps.iter().filter_map(|map| map.extension.map.get("Pss")).sum())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_is_counted_with_what_it_has_started() {
        let own = std::process::id() as i32;
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (below, together) = (super::tree_bytes(child.id() as i32), super::tree_bytes(own));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(below > 0 && together > below, "{below} of {together}");
        assert!(below < 100_000_000 && together < 10_000_000_000, "{below} of {together}: bytes");
    }
}
