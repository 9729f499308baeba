use std::{fs, path::Path};

/// How many bytes of memory this process may use: what the machine has, or less where a control group says so. Nothing where
/// the system does not tell.
pub fn memory_of_machine() -> Option<u64> {
    let machine = total(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(group_limits(&groups, Path::new("/sys/fs/cgroup")).fold(machine, u64::min))
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The limits of the groups that a process is in and of all groups above them, of both versions of control groups.
fn group_limits(groups: &str, root: &Path) -> impl Iterator<Item = u64> {
    let limits = groups.lines().flat_map(move |line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|each| each == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        let inside = Path::new(path.trim_start_matches('/'));
        inside.ancestors().filter_map(|group| fs::read_to_string(root.join(group).join(file)).ok()).collect()
    });
    // `max` is no number and no limit.
    limits.filter_map(|text| text.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_of_all_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("memory.max", "9000\n");
        write("a/memory.max", "2000\n");
        write("a/b/memory.max", "max\n");
        write("memory/c/memory.limit_in_bytes", "700\n");
        let check = |groups: &str, expect: &[u64]| {
            assert_eq!(group_limits(groups, root.path()).collect::<Vec<_>>(), expect, "{groups}");
        };
        check("0::/a/b\n", &[2000, 9000]);
        check("0::/\n", &[9000]);
        check("4:cpu,memory:/c\n0::/none\n", &[700, 9000]);
        check("3:cpu:/c\n", &[]);
        check("", &[]);
    }

    #[test]
    fn the_total_is_read_in_bytes() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       24000000 kB\n"), Some(24_576_000_000));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory_of_machine().is_some_and(|bytes| bytes > 1 << 20));
    }
}
