//! The disk that readings are on is full: a small tmpfs, mounted where nobody else sees it. What does not fit is refused, and
//! nothing of it is there; what was acknowledged stays; with room on the disk it goes on by itself.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use petty_chassis::types::Entropy;
use petty_provision::Stack;
use petty_scenarios::chance::Chance;
use petty_tests::mesh::Mesh;
use petty_tests::tables::Tables;
use petty_tests::{eventually, is_ci};

use super::ledger::Ledger;
use super::load::Load;
use super::{HEALED, has_no_faults, verdict};

/// Room for ingest's empty database, and a little more.
const SIZE_MB: u64 = 64;
/// So many requests that find no room.
const REFUSED: usize = 40;

/// The small disk, for as long as it is mounted.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts it, and puts ingest's database on it.
    async fn below(stack: &Stack) -> Self {
        let at = stack.data_dir().join("small");
        std::fs::create_dir(&at).unwrap();
        let server = stack.postgres().pid().unwrap();
        let server = std::fs::metadata(format!("/proc/{server}")).unwrap();
        let options = format!("size={SIZE_MB}m,mode=700,uid={},gid={}", server.uid(), server.gid());
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status();
        assert!(mounted.unwrap().success(), "the small disk is mounted");
        let disk = Self { at };
        let admin = Tables::of(stack, "auth").await;
        let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", disk.at.display());
        assert_eq!(admin.refused(&tablespace).await, None);
        eventually("nobody is connected to the database any more", HEALED, || async {
            admin.refused("ALTER DATABASE petty_ingest SET TABLESPACE small").await.is_none()
        })
        .await;
        disk
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 4_096] {
            let zeros = vec![0; size];
            while filler.write_all(&zeros).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open there stays until it is closed.
        let _gone = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_loses_nothing() {
    if is_alone() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(full_disk());
    }
    // This test again, in a process whose mounts are its own. Who is not root is somebody there who may mount.
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let user: &[&str] = if root { &[] } else { &["--user", "--map-current-user", "--keep-caps"] };
    let alone = || {
        let mut command = Command::new("unshare");
        command.args(user).args(["--mount", "--propagation", "private"]);
        command
    };
    if !alone().arg("true").output().is_ok_and(|output| output.status.success()) {
        assert!(!is_ci(), "nothing can be mounted here, which would leave out what is to be shown");
        println!("skipped: nothing can be mounted here");
        return;
    }
    let name = "checker::full_disk::a_full_disk_refuses_what_does_not_fit_and_loses_nothing";
    let mut again = alone();
    again.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let output = again.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{told}");
    assert!(output.status.success() && told.contains("1 passed"), "the full disk loses nothing");
}

/// Whether this process has mounts of its own: others than its parent's.
fn is_alone() -> bool {
    let mounts = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
    let parent = std::os::unix::process::parent_id().to_string();
    // Whose mounts cannot be seen is another user's process, which did not start this one for that.
    mounts(&parent).is_some_and(|parents| mounts("self").is_some_and(|own| own != parents))
}

/// Into what is shown where the test fails, or is run by itself.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn full_disk() {
    let seed = u64::from_be_bytes(Entropy.bytes());
    say(&format!("seed {seed}"));
    let mut disk = None;
    let mesh = Mesh::start_prepared(crate::NODE, &[], &[], async |stack| {
        disk = Some(Disk::below(stack).await);
    })
    .await;
    let disk = disk.unwrap();
    let ledger = Ledger::default();
    let load = Load::on(&mesh, &mut Chance::of(&[seed])).await;
    let stop = AtomicBool::new(false);
    let filling = async {
        eventually("it works", HEALED, || async { ledger.acknowledged() >= 50 }).await;
        disk.fill();
        let reached = ledger.refused() + REFUSED;
        eventually("what finds no room is refused", HEALED, || async {
            ledger.refused() >= reached && !ledger.without_room().is_empty()
        })
        .await;
        disk.free();
        let reached = ledger.acknowledged() + 50;
        eventually("with room it goes on", HEALED, || async { ledger.acknowledged() >= reached }).await;
        stop.store(true, Ordering::Release);
    };
    tokio::join!(load.run(&ledger, &stop), filling);
    let told = format!("seed {seed}, {}", ledger.summary());
    say(&told);
    verdict::holds(&mesh, &ledger, &told).await;
    has_no_faults(&ledger, &told);
    // By name, whatever else was refused: it was said to find no room, and it is not there.
    let without_room = ledger.without_room();
    let stored = verdict::stored(&mesh).await;
    let there: Vec<_> = without_room.iter().filter(|key| stored.contains_key(*key)).collect();
    assert!(there.is_empty(), "{told}: refused for want of room, and there: {there:?}");
    say(&format!("{} readings found no room", without_room.len()));
    assert!(!mesh.logs().contains("panicked"), "nothing panicked");
}
