//! How the program takes memory from the system.

/// Declines huge pages for this process. The allocator asks for them, and for each call the room of all that it announces: with
/// them, five bytes of a call take two MiB, which no limit on what came counts. Where the system has no such pages, there is
/// nothing to say no to.
pub fn decline_huge_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
