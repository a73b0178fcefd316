//! Independent work on the machine's cores: hashes by the thousand, when a group is built.

use std::{num::NonZeroUsize, thread};

/// Threads at most, the caller's among them.
const THREADS_MAX: usize = 8;
/// Less work than this for a thread is not worth starting it.
const SHARE_MIN: usize = 512;

/// Sets each place to what `make` says of its index, which costs a hash or so.
pub(crate) fn fill<T: Send>(places: &mut [T], make: impl Fn(usize) -> T + Sync) {
    // Asking how many cores there are takes longer than a hash.
    let threads = match places.len() / SHARE_MIN {
        0 | 1 => 1,
        shares => thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX).min(shares),
    };
    let share = places.len().div_ceil(threads).max(1);
    let fill_share = |number: usize, places: &mut [T]| {
        for (index, place) in (number * share..).zip(places) {
            *place = make(index);
        }
    };
    thread::scope(|scope| {
        let mut shares = places.chunks_mut(share).enumerate();
        let own = shares.next();
        for (number, places) in shares {
            scope.spawn(move || fill_share(number, places));
        }
        if let Some((number, places)) = own {
            fill_share(number, places);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_with_its_own_however_many_threads_share_them() {
        for len in [0, 1, SHARE_MIN - 1, 2 * SHARE_MIN, 5 * SHARE_MIN + 3, 2 * THREADS_MAX * SHARE_MIN + 1] {
            let mut places = vec![usize::MAX; len];
            fill(&mut places, |index| index * 3);
            assert!(places.iter().enumerate().all(|(index, place)| *place == index * 3), "{len}");
        }
    }
}
