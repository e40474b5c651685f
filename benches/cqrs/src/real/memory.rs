//! What a server holds in memory, with every process that it has started.
//!
//! Shares are counted (`Pss`): PostgreSQL's processes have most of their memory in common, and it is there once.

use std::collections::BTreeSet;
use std::fs;

/// Bytes of this process and all below it; 0 if there is none, or none of ours to look into.
pub(super) fn tree_bytes(root: u32) -> u64 {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let mut tree = BTreeSet::from([root]);
    loop {
        let below = parents.iter().filter(|(_, parent)| tree.contains(parent)).map(|(process, _)| *process);
        let wider: BTreeSet<u32> = tree.iter().copied().chain(below).collect();
        if wider.len() == tree.len() {
            return tree.iter().filter_map(|process| share(*process)).sum();
        }
        tree = wider;
    }
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name is in brackets and may hold anything.
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

fn share(process: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_is_counted_with_what_it_has_started() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(super::parent(child.id()), Some(own));
        let (below, together) = (super::tree_bytes(child.id()), super::tree_bytes(own));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(below > 0 && together > below, "{below} of {together}");
    }
}
