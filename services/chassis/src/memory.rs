//! Where every program's memory comes from.

/// Of every program that is built on this: requests are many small pieces of memory, taken by one thread and freed by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Has this process, and those that it starts, live on small pages alone. The allocator asks for huge ones for all that it has: by these a
/// thread's first piece of each size costs two megabytes, and zeroing them. A program does this first; elsewhere than on Linux it does
/// nothing.
pub fn take_small_pages() {
    #[cfg(target_os = "linux")]
    // Where the kernel knows no such switch, memory is larger, and all else is as it was.
    let _more = nix::sys::prctl::set_thp_disable(true);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_program_lives_on_small_pages() {
        super::take_small_pages();
        assert!(nix::sys::prctl::get_thp_disable().unwrap());
    }
}
