//! Writes the valid objects that `cargo test` mutates to `corpus/<target>/`, so that a fuzzer has a place to start from.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in cenote_testing::hostile::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), seed)?;
        }
        println!("{}: {} seeds", target.name, (target.seeds)().len());
    }
    Ok(())
}
