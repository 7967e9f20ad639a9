//! Helper: a folder in memory behind `file://...`, with the one file `7.json`, for the tests of the steps on files.

use engine::build::Build;
use engine::config::Node;
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::files::{Content, Existing, FileInfo, FileStore};
use engine::mediator::BoxFuture;
use engine::message::{Message, StartLine};
use engine::payload::Body;
use engine::transport::{CallOptions, SendContext, SendError, Sender};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub(super) fn build(_: &Node, _: &mut Build<'_>) -> Option<Arc<dyn Sender>> {
    let files = BTreeMap::from([("7.json".to_owned(), br#"{"n":1}"#.to_vec())]);
    Some(Arc::new(Folder(Arc::new(Files(Mutex::new(files))))))
}

struct Folder(Arc<Files>);

struct Files(Mutex<BTreeMap<String, Vec<u8>>>);

impl Sender for Folder {
    fn address(&self, _: &Exchange, _: &CallOptions) -> Result<StartLine, Fault> {
        Err(Fault::internal("nothing is sent to this folder"))
    }

    fn send<'a>(&'a self, _: Message, _: &'a SendContext) -> BoxFuture<'a, Result<Message, SendError>> {
        Box::pin(async { Err(Fault::internal("nothing is sent to this folder").into()) })
    }

    fn label(&self) -> &str {
        "file://folder"
    }

    fn files(&self) -> Option<Arc<dyn FileStore>> {
        Some(Arc::clone(&self.0) as Arc<dyn FileStore>)
    }
}

fn info((path, content): (&String, &Vec<u8>)) -> FileInfo {
    FileInfo {
        path: path.clone(),
        size: content.len() as u64,
        modified: Some(0),
    }
}

impl FileStore for Files {
    fn url(&self) -> String {
        "file://folder".to_owned()
    }

    fn list<'a>(&'a self, _: &'a str, _: bool, limit: usize) -> BoxFuture<'a, Result<Vec<FileInfo>, Fault>> {
        let found = self.0.lock().unwrap().iter().map(info).take(limit).collect();
        Box::pin(async { Ok(found) })
    }

    fn info<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<FileInfo>, Fault>> {
        let found = self.0.lock().unwrap().get_key_value(path).map(info);
        Box::pin(async { Ok(found) })
    }

    fn read<'a>(&'a self, path: &'a str, _: u64) -> BoxFuture<'a, Result<Content, Fault>> {
        let found = self.0.lock().unwrap().get(path).cloned();
        Box::pin(async {
            let content = found.ok_or_else(|| Fault::new(FaultCode::NotFound, "There is no such file."))?;
            Ok(Box::pin(std::io::Cursor::new(content)) as Content)
        })
    }

    fn write<'a>(&'a self, _: &'a str, _: Body, _: Existing) -> BoxFuture<'a, Result<String, Fault>> {
        Box::pin(async { Err(Fault::internal("nothing is written to this folder")) })
    }

    fn rename<'a>(&'a self, _: &'a str, _: &'a str, _: bool) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Err(Fault::internal("nothing is renamed in this folder")) })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Fault>> {
        let found = self.0.lock().unwrap().remove(path).is_some();
        Box::pin(async move { Ok(found) })
    }
}
