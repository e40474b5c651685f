//! See `cenote_testing::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    cenote_testing::hostile::repaired("chain", &mut bytes);
    cenote_testing::hostile::chain(&bytes);
});
