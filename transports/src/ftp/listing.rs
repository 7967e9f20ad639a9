//! Listings: for machines (MLSD, RFC 3659 section 7) where the server has them, else the lines of LIST, which every server writes
//! in its own way and without seconds.

use super::session::{Session, is_unavailable};
use crate::remote::failure::Failure;
use crate::remote::protocol::Entry;
use engine::files::FileInfo;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::time::UNIX_EPOCH;
use suppaftp::list::ListParser;
use suppaftp::{FtpError, Status};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// Longest line of a listing, in bytes.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// LIST tells minutes: a file is at most this much younger than it says, in milliseconds.
const MINUTE: i64 = 60_000;

/// The entries of a folder, at most `limit` lines of it; nothing where there is no such folder.
pub(super) async fn entries(
    session: &mut Session,
    folder: &str,
    limit: usize,
    hidden: bool,
) -> Result<Vec<Entry>, Failure> {
    // LIST understands wildcards and options in its argument, so the folder is made the current one instead. MLSD tells all names.
    let (command, parse): (_, fn(&str) -> Option<Entry>) = if session.mlst {
        (format!("MLSD {folder}"), machine_line)
    } else {
        match session.ftp.cwd(folder).await {
            Ok(()) if hidden => ("LIST -a".to_owned(), list_line),
            Ok(()) => ("LIST".to_owned(), list_line),
            Err(error) if is_unavailable(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    };
    match lines(session, command, limit).await {
        Ok(lines) => Ok(lines.iter().filter_map(|line| parse(line)).collect()),
        Err(error) if is_unavailable(&error) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn lines(session: &mut Session, command: String, limit: usize) -> Result<Vec<String>, FtpError> {
    let opened = [Status::AboutToSend, Status::AlreadyOpen];
    let (_, stream) = session.ftp.custom_data_command(command, &opened).await?;
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    while lines.len() < limit {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut line).await;
        if read.map_err(FtpError::ConnectionError)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        lines.push(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    let whole = lines.len() < limit;
    let finished = reader.into_inner().finish().await;
    // A listing that we cut short ends with an error of the server's, which is as it should be.
    if whole || matches!(finished, Err(FtpError::ConnectionError(_))) {
        finished?;
    }
    Ok(lines)
}

/// `type=file;size=12;modify=20260102030405; orders.csv`
fn machine_line(line: &str) -> Option<Entry> {
    let (facts, name) = line.trim_start().split_once(' ')?;
    let (kind, file) = machine_facts(facts);
    let path = name.to_owned();
    match kind.as_str() {
        "dir" => Some(Entry::Folder(path)),
        "file" => Some(Entry::File(FileInfo { path, ..file })),
        _ => None,
    }
}

/// The facts about one file, whatever its name in the line; `None` where it is none.
pub(super) fn machine_file(line: &str) -> Option<FileInfo> {
    let (facts, _) = line.trim_start().split_once(' ')?;
    let (kind, file) = machine_facts(facts);
    (kind == "file").then_some(file)
}

fn machine_facts(facts: &str) -> (String, FileInfo) {
    let mut kind = String::new();
    let mut file = FileInfo::default();
    for (fact, value) in facts.split(';').filter_map(|fact| fact.split_once('=')) {
        match fact.to_ascii_lowercase().as_str() {
            "type" => kind = value.to_ascii_lowercase(),
            "size" => file.size = value.parse().unwrap_or(0),
            "modify" => file.modified = machine_time(value),
            _ => {}
        }
    }
    (kind, file)
}

/// `20260102030405`, with or without a fraction, in UTC (RFC 3659 section 2.3).
fn machine_time(text: &str) -> Option<i64> {
    let whole = text.get(..14)?;
    let time = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn list_line(line: &str) -> Option<Entry> {
    let file = ListParser::parse_posix(line)
        .or_else(|_| ListParser::parse_dos(line))
        .ok()?;
    let name = file.name().to_owned();
    if file.is_directory() {
        return Some(Entry::Folder(name));
    }
    // A symbolic link may lead anywhere, and FTP cannot tell where.
    file.is_file().then(|| {
        let since = file.modified().duration_since(UNIX_EPOCH).ok();
        Entry::File(FileInfo {
            path: name,
            size: file.size() as u64,
            modified: since
                .and_then(|since| i64::try_from(since.as_millis()).ok())
                .map(|time| time + MINUTE),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_machines_tell_files_and_folders() {
        let file = machine_line("type=file;size=12;modify=20260102030405.123;perm=r; a b.csv");
        let expected = FileInfo {
            path: "a b.csv".to_owned(),
            size: 12,
            modified: Some(1_767_323_045_000),
        };
        assert_eq!(file, Some(Entry::File(expected)));
        assert_eq!(machine_line("Type=dir; in"), Some(Entry::Folder("in".to_owned())));
        for left_out in ["type=cdir; .", "type=OS.unix=symlink; x", "nonsense", ""] {
            assert_eq!(machine_line(left_out), None, "{left_out}");
        }
    }

    #[test]
    fn facts_count_whatever_the_name() {
        let file = machine_file(" type=file;size=7; /out/.mediary-1.part");
        assert_eq!(file.map(|file| file.size), Some(7));
        assert_eq!(machine_file("type=dir; /out"), None);
    }

    #[test]
    fn lines_for_people_are_understood_on_unix_and_windows() {
        let Some(Entry::File(file)) = list_line("-rw-r--r--    1 0  0  1234 Nov 05  2024 a b.csv") else {
            panic!("no file");
        };
        assert_eq!((file.path.as_str(), file.size), ("a b.csv", 1234));
        assert!(
            matches!(list_line("drwxr-xr-x 2 0 0 4096 Nov 05 13:46 in"), Some(Entry::Folder(name)) if name == "in")
        );
        assert_eq!(list_line("lrwxrwxrwx 1 0 0 4 Nov 05 13:46 link -> /etc"), None);
        assert_eq!(list_line("total 12"), None);
    }
}
