//! Files and inline values that steps use: schemas, templates, WSDLs. Read once, at load.

use super::Build;
use crate::config::{Span, Text};
use bytes::Bytes;
use std::path::{Path, PathBuf};

/// Largest file that a configuration may refer to.
const RESOURCE_BYTES_MAX: u64 = 16 << 20;

/// A resource that was read.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name or path, for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// The file, where it is one; relative imports start from its folder.
    pub file: Option<PathBuf>,
}

impl Build<'_> {
    /// The resource of this name, else the file at this path relative to the YAML file.
    pub fn resource(&mut self, name: &Text) -> Option<Resource> {
        self.resource_at(name.as_str(), name.span())
    }

    /// As [`Build::resource`], for a name that stands at `span`.
    pub fn resource_at(&mut self, name: &str, span: Span) -> Option<Resource> {
        let Some(config) = self.resources.get(name) else {
            return self.file_at(name, span);
        };
        match (&config.file, &config.text) {
            (Some(file), None) => {
                let (path, at) = (file.value.clone(), file.span);
                self.file_at(&path, at)
            }
            (None, Some(text)) => Some(Resource {
                name: name.to_owned(),
                bytes: Bytes::from(text.as_str().to_owned()),
                file: None,
            }),
            _ => None,
        }
    }

    /// The text of a resource.
    pub fn resource_text(&mut self, name: &Text) -> Option<(Resource, String)> {
        let resource = self.resource(name)?;
        match String::from_utf8(resource.bytes.to_vec()) {
            Ok(text) => Some((resource, text)),
            Err(_) => {
                let help = Some("templates and schemas are text".to_owned());
                self.error(
                    "config.bad_file",
                    name.span(),
                    format!("`{}` is not UTF-8", resource.name),
                    help,
                );
                None
            }
        }
    }

    /// The file at a path relative to the YAML file that names it.
    pub fn file_at(&mut self, path: &str, span: Span) -> Option<Resource> {
        let file = self.folder(span).join(path);
        match read(&file) {
            Ok(bytes) => Some(Resource {
                name: path.to_owned(),
                bytes,
                file: Some(file),
            }),
            Err(problem) => {
                let known = self.resources.keys().map(|name| &**name);
                let near = crate::config::nearest(path, known)
                    .map(|near| format!("did you mean the resource `{near}`?"));
                let help = near.or_else(|| {
                    Some("paths start from the folder of the YAML file that names them".to_owned())
                });
                self.error(
                    "config.missing_file",
                    span,
                    format!("cannot read `{path}`: {problem}"),
                    help,
                );
                None
            }
        }
    }
}

/// Reads a file whole, up to the limit.
pub(crate) fn read(file: &Path) -> Result<Bytes, String> {
    let missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    let metadata = std::fs::metadata(file).map_err(missing)?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.len() > RESOURCE_BYTES_MAX {
        return Err(format!("it is larger than {RESOURCE_BYTES_MAX} bytes"));
    }
    std::fs::read(file).map(Bytes::from).map_err(missing)
}
