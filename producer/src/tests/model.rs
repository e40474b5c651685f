//! Random cycles and updates against plain maps.
