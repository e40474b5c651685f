//! Writing canonical bytes: counts, and elements with their lengths where elements have one.

/// Appends the number of elements of a list, a set or a map.
///
/// # Panics
/// If a `u32` can't hold the number: callers check them against [`LIST_ELEMENTS_MAX`](super::LIST_ELEMENTS_MAX).
pub fn push_count(elements: usize, out: &mut Vec<u8>) {
    let count = u32::try_from(elements).expect("elements are checked against their limit before they are written");
    out.extend_from_slice(&count.to_le_bytes());
}

/// Appends bytes with their length before them.
///
/// # Panics
/// If there are 4 GiB of them: callers check them against [`RECORD_BYTES_MAX`](super::RECORD_BYTES_MAX).
pub(crate) fn push_sized(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("a value fits a record, which has at most 16 MiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends an element, with its length before it if elements of its kind have one.
#[inline]
pub(crate) fn push_element(bytes: &[u8], is_sized: bool, out: &mut Vec<u8>) {
    if is_sized {
        push_sized(bytes, out);
    } else {
        out.extend_from_slice(bytes);
    }
}

/// The same, for an element that `write` appends.
///
/// # Errors
/// Those of `write`.
///
/// # Panics
/// If `write` appends 4 GiB without an error.
#[inline]
pub fn push_element_with<E>(
    is_sized: bool,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if !is_sized {
        return write(out);
    }
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    write(out)?;
    let length = u32::try_from(out.len() - start).expect("a value fits a record, which has at most 16 MiB");
    out[length_at..start].copy_from_slice(&length.to_le_bytes());
    Ok(())
}
