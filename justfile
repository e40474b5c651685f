# The recipes that CI runs (`.ci/run` calls them by their commands), for people. `just` alone lists them.

features := "cenote-bench-cqrs/real,cenote-bench-engine/peers,cenote-producer/gcs,cenote-producer/azure,cenote-consumer/gcs,cenote-consumer/azure"

default:
    @just --list

# Format, lints of everything behind features too, documentation without warnings.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features {{features}} -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# All tests. Needs nothing installed.
test:
    cargo test --workspace

# Three releases of a real dataset, published and read.
quickstart:
    cargo run --release --example quickstart

# Everything that a change must pass.
ci:
    bash .ci/run

# Compare the public interface of both crates with the listings in the repository.
api:
    cargo run --quiet --manifest-path .ci/public-api/Cargo.toml

# Write the listings after a deliberate change of the public interface.
api-update:
    cargo run --quiet --manifest-path .ci/public-api/Cargo.toml -- --update

# Licences, sources, advisories.
deny:
    cargo deny check

# Dependencies that no code uses.
machete:
    cargo machete

# The libraries build with the oldest Rust that Cargo.toml names.
msrv:
    cargo +1.95 check -p cenote-producer -p cenote-consumer --features cenote-producer/gcs,cenote-consumer/gcs

# Would the next release break users of the last one? Works once there is a release.
semver:
    cargo semver-checks -p cenote-producer -p cenote-consumer

# Maps and the engine, side by side; writes benches/RESULTS.md.
compare *arguments="--quick --rounds 5 --records 100000 --systems cenote,cenote-packed,map":
    cargo run --profile dist -p cenote-bench-engine --bin compare -- {{arguments}} --markdown benches/RESULTS.md

# The seeded simulation, for longer than the tests run it.
simulate *arguments="--help":
    cargo run --release -p cenote-simulation --bin simulate -- {{arguments}}

# Mutate valid objects of one kind for a minute; needs cargo-fuzz.
fuzz target:
    cd shared/testing && cargo run --manifest-path fuzz/Cargo.toml --example seeds
    cd shared/testing && RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none {{target}} -- -max_total_time=60 -rss_limit_mb=1024
