//! Hostile bytes: a corpus and 100,000 seeded mutations of valid objects, checksums repaired, through every decoder,
//! under an allocator that fails above each one's limit (I9).
//!
//! One test alone in this program: the allocator counts for the whole process. `CENOTE_HOSTILE_ROUNDS` asks for more
//! mutations, `CENOTE_HOSTILE_SEED` for others; `CENOTE_HOSTILE_TRACE=1` names each before it runs, for the one that
//! ends the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cenote_store::env::Env;
use cenote_testing::hostile::{TARGETS, Target};

/// The system's allocator, which refuses what would go over the limit.
struct Limited;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

// SAFETY: every call goes to `System` with the arguments as they came, or answers with null, which the contract of
// `GlobalAlloc` allows; the counters have no part in what is returned.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        if live > LIMIT.load(Ordering::Relaxed) {
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above, so from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Memory for the test harness itself.
const HARNESS_BYTES: usize = 1 << 20;
/// No object of a few kilobytes may take so long, on any machine.
const LONGEST: Duration = Duration::from_secs(20);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |value| value.parse().expect("a number"))
}

fn draw(env: &Env, below: usize) -> usize {
    (env.random() % below.max(1) as u64) as usize
}

/// Flips, telling values, cuts, repeats, moves; up to eight of them.
fn mutate(env: &Env, bytes: &mut Vec<u8>) {
    for _ in 0..=draw(env, 8) {
        if bytes.is_empty() {
            return;
        }
        let at = draw(env, bytes.len());
        let end = (at + 1 + draw(env, 64)).min(bytes.len());
        match draw(env, 9) {
            0 | 1 => bytes[at] ^= 1 << draw(env, 8),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][draw(env, 5)],
            3 => bytes.iter_mut().skip(at).take([2, 4, 8][draw(env, 3)]).for_each(|byte| *byte = 0xFF),
            4 => bytes.iter_mut().skip(at).take([2, 4, 8][draw(env, 3)]).for_each(|byte| *byte = 0),
            5 => bytes[at] = bytes[at].wrapping_add(1),
            6 => bytes.insert(at, draw(env, 256) as u8),
            7 => drop(bytes.drain(at..end)),
            _ => bytes.extend_from_within(at..end),
        }
    }
}

/// Runs the decoder under its limit.
#[expect(clippy::disallowed_methods, reason = "a decoder that loops is found by the machine's clock")]
fn run(target: &Target, bytes: &[u8], what: &dyn Fn() -> String) -> bool {
    if std::env::var_os("CENOTE_HOSTILE_TRACE").is_some() {
        eprintln!("{}", what());
    }
    let started = Instant::now();
    LIMIT.store(LIVE.load(Ordering::Relaxed) + target.bytes_max + HARNESS_BYTES, Ordering::Relaxed);
    let result = std::panic::catch_unwind(|| (target.run)(bytes));
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    assert!(started.elapsed() < LONGEST, "{} took {:?}", what(), started.elapsed());
    if let Ok(sound) = result {
        sound
    } else {
        let file = std::env::temp_dir().join(format!("cenote-hostile-{}", target.name));
        std::fs::write(&file, bytes).expect("the bytes can be kept");
        panic!("{} panicked; the bytes are in {}", what(), file.display());
    }
}

#[test]
fn no_bytes_make_a_decoder_panic_or_take_more_than_its_limit() {
    let seed = setting("CENOTE_HOSTILE_SEED", 1) as u64;
    let rounds = setting("CENOTE_HOSTILE_ROUNDS", 100_000).div_ceil(TARGETS.len());
    // A panic's message needs additional memory.
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        LIMIT.store(usize::MAX, Ordering::Relaxed);
        previous(panic);
    }));
    for target in &TARGETS {
        let env = Env::simulated(seed);
        let corpus = (target.seeds)();
        for (number, bytes) in corpus.iter().enumerate() {
            assert!(run(target, bytes, &|| format!("{} seed {number}", target.name)), "valid objects are taken");
            let mut repaired = bytes.to_vec();
            (target.repair)(&mut repaired);
            assert_eq!(repaired, &bytes[..], "{}: there is nothing to repair in seed {number}", target.name);
            for cut in 0..bytes.len().min(600) {
                run(target, &bytes[..cut], &|| format!("{} seed {number} cut at {cut}", target.name));
            }
        }
        for (number, bytes) in (target.lies)().iter().enumerate() {
            assert!(!run(target, bytes, &|| format!("{} lie {number}", target.name)), "lies are refused");
        }
        let (mut sound, mut broken) = (0, 0);
        for round in 0..rounds {
            let mut bytes = corpus[draw(&env, corpus.len())].to_vec();
            mutate(&env, &mut bytes);
            // Some go in as they are: hashes are decoders, too.
            if round % 8 != 0 {
                (target.repair)(&mut bytes);
            }
            let taken = run(target, &bytes, &|| format!("{} round {round} of seed {seed}", target.name));
            *(if taken { &mut sound } else { &mut broken }) += 1;
        }
        println!("{}: {sound} taken for sound, {broken} refused", target.name);
        // Both ways are walked: some mutations reach past the hashes and are read through, many are refused.
        assert!(sound > rounds / 200 && broken > rounds / 20, "{}: {sound} sound, {broken} refused", target.name);
    }
}
