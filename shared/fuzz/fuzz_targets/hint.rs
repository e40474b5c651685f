//! See `cenote_shared::hostile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    cenote_shared::hostile::hint(&bytes);
    cenote_shared::hostile::repaired("hint", &mut bytes);
    cenote_shared::hostile::hint(&bytes);
});
