//! A container: the ordinals of one run of 2^16, as their low 16 bits.
//!
//! Rules: sorted numbers up to `SORTED_MAX`, 8 KiB of bits above, where both take the same room.

use crate::index::bitmap::Ones;
use std::sync::Arc;

/// The most ordinals of a container kept as sorted numbers.
const SORTED_MAX: usize = 4_096;
const WORDS: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Sorted(Arc<Vec<u16>>),
    Bits(Arc<Bits>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    len: usize,
    words: [u64; WORDS],
}

impl Container {
    pub(super) fn from_sorted(lows: Vec<u16>) -> Self {
        if lows.len() <= SORTED_MAX { Self::Sorted(Arc::new(lows)) } else { Self::Bits(Arc::new(Bits::of(&lows))) }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Sorted(lows) => lows.len(),
            Self::Bits(bits) => bits.len,
        }
    }

    pub(super) fn contains(&self, low: u16) -> bool {
        match self {
            Self::Sorted(lows) => lows.binary_search(&low).is_ok(),
            Self::Bits(bits) => bits.contains(low),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u16> {
        let (lows, words): (&[u16], &[u64]) = match self {
            Self::Sorted(lows) => (lows, &[]),
            Self::Bits(bits) => (&[], &bits.words),
        };
        lows.iter().copied().chain(lows_of(words))
    }

    pub(super) fn insert(&mut self, low: u16) -> bool {
        match self {
            Self::Sorted(lows) => {
                let Err(at) = lows.binary_search(&low) else {
                    return false;
                };
                if lows.len() < SORTED_MAX {
                    Arc::make_mut(lows).insert(at, low);
                    return true;
                }
                let mut bits = Bits::of(lows);
                bits.insert(low);
                *self = Self::Bits(Arc::new(bits));
                true
            }
            Self::Bits(bits) => !bits.contains(low) && Arc::make_mut(bits).insert(low),
        }
    }

    pub(super) fn remove(&mut self, low: u16) -> bool {
        match self {
            Self::Sorted(lows) => {
                let Ok(at) = lows.binary_search(&low) else {
                    return false;
                };
                Arc::make_mut(lows).remove(at);
                true
            }
            Self::Bits(bits) => {
                let removed = bits.contains(low) && Arc::make_mut(bits).remove(low);
                self.settle();
                removed
            }
        }
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Bits(left), Self::Bits(right)) if Arc::ptr_eq(left, right) => self.clone(),
            (Self::Bits(left), Self::Bits(right)) => {
                let mut both = Self::Bits(Arc::new(left.and(right)));
                both.settle();
                both
            }
            (Self::Sorted(lows), Self::Bits(bits)) | (Self::Bits(bits), Self::Sorted(lows)) => {
                Self::from_sorted(lows.iter().copied().filter(|low| bits.contains(*low)).collect())
            }
            (Self::Sorted(left), Self::Sorted(right)) => Self::from_sorted(merge(left, right)),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let behind = match self {
            Self::Sorted(lows) => size_of::<Vec<u16>>() + lows.capacity() * 2,
            Self::Bits(_) => size_of::<Bits>(),
        };
        2 * size_of::<usize>() + behind
    }

    pub(super) fn check_invariants(&self) {
        assert_eq!(self.iter().count(), self.len(), "a container counts its ordinals");
        assert!(self.len() > 0, "a container is not empty");
        assert_eq!(matches!(self, Self::Bits(_)), self.len() > SORTED_MAX, "a container's shape follows its content");
    }

    /// Turns bits into sorted numbers when they have become few.
    fn settle(&mut self) {
        if matches!(self, Self::Bits(bits) if bits.len <= SORTED_MAX) {
            *self = Self::from_sorted(self.iter().collect());
        }
    }
}

impl Bits {
    fn of(lows: &[u16]) -> Self {
        let mut bits = Self { len: lows.len(), words: [0; WORDS] };
        for low in lows {
            bits.words[usize::from(low >> 6)] |= 1 << (low & 63);
        }
        bits
    }

    fn contains(&self, low: u16) -> bool {
        self.words[usize::from(low >> 6)] & 1 << (low & 63) != 0
    }

    fn insert(&mut self, low: u16) -> bool {
        self.words[usize::from(low >> 6)] |= 1 << (low & 63);
        self.len += 1;
        true
    }

    fn remove(&mut self, low: u16) -> bool {
        self.words[usize::from(low >> 6)] &= !(1 << (low & 63));
        self.len -= 1;
        true
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = Self { len: 0, words: [0; WORDS] };
        for ((word, left), right) in both.words.iter_mut().zip(&self.words).zip(&other.words) {
            *word = left & right;
            both.len += word.count_ones() as usize;
        }
        both
    }
}

fn lows_of(words: &[u64]) -> impl Iterator<Item = u16> {
    words.iter().enumerate().flat_map(|(number, word)| Ones(*word).map(move |bit| (number as u16) << 6 | bit as u16))
}

/// What two ascending slices share.
fn merge(left: &[u16], right: &[u16]) -> Vec<u16> {
    let (few, many) = if left.len() < right.len() { (left, right) } else { (right, left) };
    let mut rest = many;
    let shared = few.iter().copied().filter(|low| {
        // Galloping: doubling steps cost little when both are of a size, and logarithmic ones when they are not.
        let mut step = 1;
        while step < rest.len() && rest[step] < *low {
            step *= 2;
        }
        let within = &rest[..rest.len().min(step + 1)];
        rest = &rest[within.partition_point(|other| other < low)..];
        rest.first() == Some(low)
    });
    shared.collect()
}
