//! Codecs of sections: which one a section is written with, and how each is undone.
//!
//! Rule: a codec that costs a reader more time must save a sixteenth of the plain bytes against the one before it; so a
//! section is plain, LZ4 (about 3 GB/s) or Zstandard (about 1 GB/s) by what its own bytes gain, and equal bytes are
//! written alike (I12).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::cell::RefCell;

use zstd::bulk::Decompressor;

/// As it is.
pub(super) const NONE: u8 = 0;
/// Zstandard.
pub(super) const ZSTD: u8 = 1;
/// An LZ4 block, without a frame.
pub(super) const LZ4: u8 = 2;

/// Fast enough for a snapshot, and most of what higher levels gain.
const ZSTD_LEVEL: i32 = 3;

/// A section's bytes as they are stored, and by which codec.
pub(super) fn compress(plain: &[u8]) -> (u8, Vec<u8>) {
    let sixteenth = plain.len().div_euclid(16);
    let is_worth = |packed: &Vec<u8>, than: usize| packed.len().saturating_add(sixteenth) < than;
    let lz4 = Some(lz4_flex::block::compress(plain)).filter(|packed| is_worth(packed, plain.len()));
    let least = lz4.as_ref().map_or(plain.len(), Vec::len);
    let zstd = zstd::bulk::compress(plain, ZSTD_LEVEL).ok().filter(|packed| is_worth(packed, least));
    match (zstd, lz4) {
        (Some(packed), _) => (ZSTD, packed),
        (None, Some(packed)) => (LZ4, packed),
        (None, None) => (NONE, plain.to_vec()),
    }
}

/// Whether sections of this codec can be read.
pub(super) fn is_known(codec: u8) -> bool {
    matches!(codec, NONE | ZSTD | LZ4)
}

thread_local! {
    /// Made once for each thread that decompresses: it has tables of its own.
    static ZSTANDARD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Fills `place` with a section's plain bytes. None if they are not exactly as many, or the stored ones are damaged.
pub(super) fn decompress(codec: u8, stored: &[u8], place: &mut [u8]) -> Option<()> {
    let filled = match codec {
        NONE => {
            let place = place.get_mut(..stored.len())?;
            place.copy_from_slice(stored);
            stored.len()
        }
        ZSTD => ZSTANDARD.with_borrow_mut(|made| {
            if made.is_none() {
                *made = Decompressor::new().ok();
            }
            made.as_mut()?.decompress_to_buffer(stored, place).ok()
        })?,
        LZ4 => lz4_flex::block::decompress_into(stored, place).ok()?,
        _ => return None,
    };
    (filled == place.len()).then_some(())
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "tests make the bytes that they damage"
)]
mod tests {
    use super::*;

    fn codec_of(plain: &[u8]) -> u8 {
        let (codec, stored) = compress(plain);
        let mut place = vec![0; plain.len()];
        assert_eq!(decompress(codec, &stored, &mut place), Some(()));
        assert_eq!(place, plain);
        assert_eq!(decompress(codec, &stored, &mut vec![0; plain.len() + 1]), None, "a wrong length is damage");
        codec
    }

    /// Numbers that look random, the same each time.
    fn noise(count: u64) -> impl Iterator<Item = u64> {
        (1..=count).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(number))
    }

    #[test]
    fn each_section_has_the_codec_that_its_bytes_gain_by() {
        let random: Vec<u8> = noise(10_000).flat_map(u64::to_le_bytes).collect();
        assert_eq!(codec_of(&random), NONE);
        assert_eq!(codec_of(&[]), NONE);
        // Long repeats of bytes that are random themselves: what LZ4 finds is all there is to find.
        let repeats: Vec<u8> = random.chunks(256).take(100).flat_map(|chunk| chunk.repeat(4)).collect();
        assert_eq!(codec_of(&repeats), LZ4);
        // Letters that are not equally frequent: entropy coding gains what LZ4 can't.
        let letters: Vec<u8> = noise(80_000).map(|number| b"eeeeeeettaaoin shrdlu"[number as usize % 21]).collect();
        assert_eq!(codec_of(&letters), ZSTD);
    }

    #[test]
    fn damaged_bytes_and_unknown_codecs_are_refused() {
        let plain = b"a text, a text, a text, a text, a text, a text".repeat(20);
        for codec in [ZSTD, LZ4] {
            let mut place = vec![0; plain.len()];
            assert_eq!(decompress(codec, b"\xff\xff\xff\xff\xff\xff", &mut place), None);
            assert_eq!(decompress(codec, b"", &mut place), None);
        }
        assert_eq!(decompress(3, &plain, &mut vec![0; plain.len()]), None);
        assert!(!is_known(3));
    }
}
