//! The one folder that a component finds: whatever it tries there is refused, and told.
//!
//! No folder at all would be as safe, but then nobody could say who wants to open a file: the C library of a component
//! looks for its folders whenever a socket is made, and without one it refuses by itself, without a call to the host.
//! Here is no file system behind the folder: it is a number that stands for nothing.

use wasmtime::component::Resource;
use wasmtime::{Error, Result};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::denied::Denied;
use crate::grants::Refusal;

use types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Filesize, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};

/// A handle of the component to the folder, or to something in it, of which there is nothing.
type Folder = Resource<Descriptor>;

impl preopens::Host for Denied<'_> {
    fn get_directories(&mut self) -> Result<Vec<(Folder, String)>> {
        Ok(vec![(Resource::new_own(0), "/".into())])
    }
}

impl Denied<'_> {
    /// The answer to everything that would touch `path`.
    fn path<T>(&self, path: &str) -> FsResult<T> {
        self.0.refuse(Refusal::file(path));
        Err(ErrorCode::Access.into())
    }

    /// The answer to everything else.
    fn folder<T>(&self) -> FsResult<T> {
        self.path("/")
    }
}

impl types::Host for Denied<'_> {
    fn convert_error_code(&mut self, error: FsError) -> Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, _error: Resource<Error>) -> Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl types::HostDescriptor for Denied<'_> {
    async fn open_at(
        &mut self,
        _: Folder,
        _: PathFlags,
        path: String,
        _: OpenFlags,
        _: DescriptorFlags,
    ) -> FsResult<Folder> {
        self.path(&path)
    }

    async fn stat_at(&mut self, _: Folder, _: PathFlags, path: String) -> FsResult<DescriptorStat> {
        self.path(&path)
    }

    async fn metadata_hash_at(&mut self, _: Folder, _: PathFlags, path: String) -> FsResult<MetadataHashValue> {
        self.path(&path)
    }

    async fn set_times_at(
        &mut self,
        _: Folder,
        _: PathFlags,
        path: String,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> FsResult<()> {
        self.path(&path)
    }

    async fn readlink_at(&mut self, _: Folder, path: String) -> FsResult<String> {
        self.path(&path)
    }

    async fn create_directory_at(&mut self, _: Folder, path: String) -> FsResult<()> {
        self.path(&path)
    }

    async fn remove_directory_at(&mut self, _: Folder, path: String) -> FsResult<()> {
        self.path(&path)
    }

    async fn unlink_file_at(&mut self, _: Folder, path: String) -> FsResult<()> {
        self.path(&path)
    }

    async fn rename_at(&mut self, _: Folder, path: String, _: Folder, _: String) -> FsResult<()> {
        self.path(&path)
    }

    async fn link_at(&mut self, _: Folder, _: PathFlags, path: String, _: Folder, _: String) -> FsResult<()> {
        self.path(&path)
    }

    async fn symlink_at(&mut self, _: Folder, _: String, path: String) -> FsResult<()> {
        self.path(&path)
    }

    /// What it is, is no secret: a component asks before it opens anything.
    async fn get_type(&mut self, _: Folder) -> FsResult<DescriptorType> {
        Ok(DescriptorType::Directory)
    }

    /// Not even to be read.
    async fn get_flags(&mut self, _: Folder) -> FsResult<DescriptorFlags> {
        Ok(DescriptorFlags::empty())
    }

    async fn stat(&mut self, _: Folder) -> FsResult<DescriptorStat> {
        self.folder()
    }

    async fn metadata_hash(&mut self, _: Folder) -> FsResult<MetadataHashValue> {
        self.folder()
    }

    async fn read_directory(&mut self, _: Folder) -> FsResult<Resource<DirectoryEntryStream>> {
        self.folder()
    }

    fn read_via_stream(&mut self, _: Folder, _: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.folder()
    }

    fn write_via_stream(&mut self, _: Folder, _: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.folder()
    }

    fn append_via_stream(&mut self, _: Folder) -> FsResult<Resource<DynOutputStream>> {
        self.folder()
    }

    async fn read(&mut self, _: Folder, _: Filesize, _: Filesize) -> FsResult<(Vec<u8>, bool)> {
        self.folder()
    }

    async fn write(&mut self, _: Folder, _: Vec<u8>, _: Filesize) -> FsResult<Filesize> {
        self.folder()
    }

    async fn advise(&mut self, _: Folder, _: Filesize, _: Filesize, _: Advice) -> FsResult<()> {
        self.folder()
    }

    async fn set_size(&mut self, _: Folder, _: Filesize) -> FsResult<()> {
        self.folder()
    }

    async fn set_times(&mut self, _: Folder, _: NewTimestamp, _: NewTimestamp) -> FsResult<()> {
        self.folder()
    }

    async fn sync(&mut self, _: Folder) -> FsResult<()> {
        self.folder()
    }

    async fn sync_data(&mut self, _: Folder) -> FsResult<()> {
        self.folder()
    }

    /// There is only one.
    async fn is_same_object(&mut self, _: Folder, _: Folder) -> Result<bool> {
        Ok(true)
    }

    fn drop(&mut self, _: Folder) -> Result<()> {
        Ok(())
    }
}

/// There is no such stream, so nobody can ask it for anything.
impl types::HostDirectoryEntryStream for Denied<'_> {
    async fn read_directory_entry(&mut self, _: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        self.folder()
    }

    fn drop(&mut self, _: Resource<DirectoryEntryStream>) -> Result<()> {
        Ok(())
    }
}
