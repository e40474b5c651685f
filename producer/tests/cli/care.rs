//! The commands that look after a dataset: status, snapshot, gc, repair, check-store.

use super::*;

/// Versions 2, 5 and 8, each with a snapshot.
fn published() -> Desk {
    let desk = Desk::new();
    desk.write("movies.jsonl", FIRST);
    desk.run(&["--key", "id"]);
    for title in ["Heat", "Ran"] {
        desk.write("movies.jsonl", format!("{FIRST}{{\"id\":9,\"title\":\"{title}\",\"cast\":[]}}\n"));
        desk.run(&[]);
    }
    desk
}

fn files(desk: &Desk, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(desk.path("catalog").join(folder))
        .map_or(Vec::new(), |listed| listed.map(|file| file.unwrap().path()).collect());
    files.sort();
    files
}

fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn runs_that_change_nothing_leave_nothing() {
    let desk = published();
    let before = files(&desk, "log");
    for _ in 0..3 {
        assert!(desk.run(&[]).starts_with("unchanged: "));
    }
    desk.write("movies.jsonl", "{\"id\":1,\"title\":\"a\",\"cast\":[]}\n{\"id\":1,\"title\":\"b\",\"cast\":[]}\n");
    desk.fail(&["run", "catalog", "movies.jsonl", "--type", "Movie"]);
    assert_eq!(files(&desk, "log"), before);
}

#[test]
fn status_tells_the_owner_the_snapshots_and_what_is_left_behind() {
    let desk = published();
    let shown = desk.succeed(&["status", "catalog"]);
    for part in ["owner       nobody", "opened by cenote-producer", "version     8", "snapshot    version 2, "] {
        assert!(shown.contains(part), "{part} is missing in: {shown}");
    }
    std::fs::create_dir_all(desk.path("catalog/blobs")).unwrap();
    let orphan = "blobs/00000000000000000009-1-000102030405060708090a0b0c0d0e0f";
    std::fs::write(desk.path("catalog").join(orphan), "orphan").unwrap();
    let status = json(&desk.succeed(&["status", "catalog", "--json"]));
    assert_eq!((status["version"].as_u64(), status["owner"].as_str()), (Some(8), None), "{status}");
    assert_eq!((status["unnamed_objects"].as_u64(), status["unnamed_bytes"].as_u64()), (Some(1), Some(6)), "{status}");
    assert_eq!(status["snapshots"][0]["missing"], false);
    std::fs::remove_file(files(&desk, "snapshots").last().unwrap()).unwrap();
    let output = desk.command(&["status", "catalog"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the snapshot of version 8 is missing"), "{output:?}");
}

/// A regression: `rm snapshots/*` ended all publishing.
#[test]
fn without_its_snapshots_a_dataset_is_published_and_gets_another() {
    let desk = published();
    for file in files(&desk, "snapshots") {
        std::fs::remove_file(file).unwrap();
    }
    desk.write("movies.jsonl", SECOND);
    assert!(desk.run(&["--max-removed", "2"]).starts_with("version "));
    let made = desk.succeed(&["snapshot", "catalog"]);
    let again = desk.succeed(&["snapshot", "catalog"]);
    assert!(made.starts_with("snapshot of version ") || made.contains("has a snapshot"), "{made}");
    assert!(again.contains("has a snapshot of ") && again.contains("nothing was written"), "{again}");
    assert!(!files(&desk, "snapshots").is_empty());
    let status = desk.succeed(&["status", "catalog"]);
    assert!(status.contains(", missing"), "{status}");
}

#[test]
fn gc_deletes_what_no_entry_names() {
    let desk = published();
    let named = files(&desk, "snapshots");
    let name = |epoch: u64| format!("catalog/snapshots/00000000000000000099-{epoch}-000102030405060708090a0b0c0d0e0f");
    // One of an earlier epoch, and one that the last owner left.
    std::fs::write(desk.path(&name(1)), "old").unwrap();
    std::fs::write(desk.path(&name(3)), "newer").unwrap();
    let dry = desk.succeed(&["gc", "catalog", "--dry-run"]);
    assert!(
        dry.contains("-1-0001") && dry.contains("-3-0001") && dry.contains("2 objects of 8 B would be deleted"),
        "{dry}"
    );
    assert_eq!(files(&desk, "snapshots").len(), named.len() + 2);
    assert_eq!(desk.succeed(&["gc", "catalog"]), "2 objects of 8 B deleted\n");
    assert_eq!(files(&desk, "snapshots"), named);
    assert_eq!(desk.succeed(&["gc", "catalog"]), "0 objects of 0 B deleted\n");
}

#[test]
fn repair_makes_a_damaged_dataset_writable_again() {
    for missing in [false, true] {
        let desk = published();
        let whole = desk.succeed(&["repair", "catalog"]);
        assert!(whole.contains("nothing needs a repair"), "{whole}");
        // The entry of the second version, and the snapshots of it and of the third, which can't be reached then.
        files(&desk, "snapshots").iter().skip(1).for_each(|snapshot| std::fs::remove_file(snapshot).unwrap());
        let entry = desk.path("catalog/log/00000000000000000005");
        if missing {
            std::fs::remove_file(&entry).unwrap();
        } else {
            damage(&entry);
        }
        let (code, refused) = desk.fail(&["run", "catalog", "movies.jsonl", "--type", "Movie"]);
        assert_eq!(code, 1, "{refused}");
        let output = desk.command(&["repair", "catalog", "--dry-run"]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        for part in
            ["damaged: ", "log/00000000000000000005", "whole: version 2, committed 20", "lost: 1 version, 8 to 8"]
        {
            assert!(shown.contains(part), "{part} is missing in: {shown}");
        }
        let before = files(&desk, "log");
        let repaired = json(&desk.succeed(&["repair", "catalog", "--json"]));
        assert_eq!(repaired["repaired"]["version"], 2, "{repaired}");
        assert_ne!(repaired["repaired"]["dataset"], repaired["dataset"]);
        let aside = desk.path("catalog/aside").join(repaired["dataset"].as_str().unwrap());
        assert_eq!(std::fs::read_dir(aside.join("log")).unwrap().count(), before.len(), "what was there is kept");
        assert_eq!(std::fs::read_dir(aside.join("snapshots")).unwrap().count(), 1);
        let log = desk.succeed(&["log", "catalog"]);
        assert!(log.contains(&format!("ancestor={} version 2", repaired["dataset"].as_str().unwrap())), "{log}");
        assert_eq!(json(&desk.succeed(&["status", "catalog", "--json"]))["snapshots"][0]["version"], 2);
        // Publishing goes on, and there is nothing left to repair.
        assert!(desk.run(&[]).contains("1 added, 0 changed, 0 removed: now 4 records"));
        assert!(desk.succeed(&["repair", "catalog", "--dry-run"]).contains("nothing needs a repair"));
    }
}

#[test]
fn repair_without_a_whole_version_says_so_and_touches_nothing() {
    let desk = published();
    for file in files(&desk, "snapshots") {
        damage(&file);
    }
    damage(&desk.path("catalog/log/00000000000000000002"));
    let before = files(&desk, "log");
    let output = desk.command(&["repair", "catalog"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no version is whole"), "{output:?}");
    assert_eq!(files(&desk, "log"), before);
}

#[test]
fn check_store_says_what_a_store_does() {
    let desk = Desk::new();
    let checked = desk.succeed(&["check-store", "catalog"]);
    assert_eq!(checked.lines().filter(|line| line.starts_with("ok ")).count(), 8, "{checked}");
    assert!(files(&desk, "check").is_empty(), "nothing is left");
    let checked = json(&desk.succeed(&["check-store", "catalog", "--json"]));
    assert_eq!(checked["fit"], true, "{checked}");
}

#[test]
fn each_command_has_examples_and_exit_codes() {
    let desk = Desk::new();
    for command in ["status", "snapshot", "gc", "repair", "check-store"] {
        let help = desk.succeed(&[command, "--help"]);
        assert!(help.contains("Examples:") && help.contains("Exit code: 0"), "{command}: {help}");
    }
}
