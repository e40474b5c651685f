//! Watching local folders: one watcher for the whole process, however many consumers there are.
//!
//! The system gives a process few watchers (Linux: 128 `inotify` instances for each user) and many watches for each. So
//! all consumers share one watcher, and those of one folder one watch.
//!
//! Rules: nothing here is more than a hint that it is time to poll again; the lock that the watcher's thread takes is never
//! held while the watcher is called, which waits for that thread.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// The process's watcher; none until a first folder is watched.
static WATCHER: Mutex<Option<RecommendedWatcher>> = Mutex::new(None);
/// Who is told of changes, by folder.
static LISTENERS: Mutex<Option<HashMap<PathBuf, Vec<Weak<Listener>>>>> = Mutex::new(None);

#[derive(Debug)]
struct Listener {
    changed: Arc<Notify>,
    /// Whether the folder was removed or moved, and the watch with it.
    is_lost: AtomicBool,
}

/// A folder that is watched for as long as this exists.
#[derive(Debug)]
pub(crate) struct WatchedFolder {
    folder: PathBuf,
    listener: Arc<Listener>,
}

impl WatchedFolder {
    /// Watches `folder`; `changed` is notified when an entry may have come.
    pub(crate) fn new(folder: &Path, changed: &Arc<Notify>) -> notify::Result<WatchedFolder> {
        // One spelling: a second watch on the same folder would take the place of the first.
        let folder = folder.canonicalize().map_err(notify::Error::io)?;
        let listener = Arc::new(Listener { changed: Arc::clone(changed), is_lost: AtomicBool::new(false) });
        let mut watcher = watcher();
        let watching = match &mut *watcher {
            Some(watching) => watching,
            none => none.insert(notify::recommended_watcher(on_event)?),
        };
        let is_first = {
            let mut listeners = listeners();
            let of_folder = listeners.get_or_insert_default().entry(folder.clone()).or_default();
            of_folder.push(Arc::downgrade(&listener));
            of_folder.len() == 1
        };
        let watched = WatchedFolder { folder, listener };
        if is_first {
            let done = watching.watch(&watched.folder, RecursiveMode::NonRecursive);
            // Dropping what is watched takes this lock.
            drop(watcher);
            done?;
        }
        Ok(watched)
    }

    /// Whether the folder was removed or moved, so that another of its name has to be watched.
    pub(crate) fn is_lost(&self) -> bool {
        self.listener.is_lost.load(Ordering::Relaxed)
    }
}

impl Drop for WatchedFolder {
    fn drop(&mut self) {
        let mut watcher = watcher();
        let is_last = {
            let mut listeners = listeners();
            let Some(folders) = &mut *listeners else { return };
            let Some(of_folder) = folders.get_mut(&self.folder) else { return };
            of_folder.retain(|listener| !std::ptr::eq(listener.as_ptr(), &raw const *self.listener));
            of_folder.is_empty() && folders.remove(&self.folder).is_some()
        };
        if let Some(watching) = watcher.as_mut().filter(|_| is_last) {
            // The folder may be gone, and its watch with it.
            let _ = watching.unwatch(&self.folder);
        }
    }
}

fn watcher() -> MutexGuard<'static, Option<RecommendedWatcher>> {
    WATCHER.lock().expect("watching a folder does not panic")
}

fn listeners() -> MutexGuard<'static, Option<HashMap<PathBuf, Vec<Weak<Listener>>>>> {
    LISTENERS.lock().expect("telling listeners does not panic")
}

/// Tells the listeners of the folders that an event is of. Called on the watcher's thread.
fn on_event(event: notify::Result<notify::Event>) {
    let Ok(event) = event else { return };
    let mut listeners = listeners();
    let Some(folders) = &mut *listeners else { return };
    let is_going = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
    let gone: Vec<&PathBuf> = event.paths.iter().filter(|path| is_going && folders.contains_key(*path)).collect();
    for (folder, of_folder) in folders.iter() {
        let is_gone = gone.contains(&folder);
        let concerned = is_gone || event.paths.is_empty() || event.paths.iter().any(|path| is_entry_of(folder, path));
        if !concerned || event.kind.is_access() {
            continue;
        }
        for listener in of_folder.iter().filter_map(Weak::upgrade) {
            listener.is_lost.fetch_or(is_gone, Ordering::Relaxed);
            listener.changed.notify_one();
        }
    }
    for folder in gone {
        folders.remove(folder);
    }
}

/// Whether `path` may be an entry in `folder`. The name of a file that is being written contains a `#`.
fn is_entry_of(folder: &Path, path: &Path) -> bool {
    let is_staged = path.as_os_str().as_encoded_bytes().contains(&b'#');
    path.parent() == Some(folder) && !is_staged
}
