//! The one folder that a component finds: the sandbox refuses and reports every use of it.
//!
//! No folder at all would be as safe, but then the sandbox could not report that a component opens a file: the C library of a
//! component looks for its folders whenever a socket is made, and without a folder it refuses by itself, without a call to the
//! host. The folder has no file system behind it: its handle is a number that stands for nothing.

use wasmtime::component::Resource;
use wasmtime::{Error, Result};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::audit::What;
use crate::denied::Denied;
use crate::grants::Refusal;

use types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, Filesize, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};

/// A handle of the component to the folder, which has nothing in it.
type Folder = Resource<Descriptor>;

impl preopens::Host for Denied<'_> {
    fn get_directories(&mut self) -> Result<Vec<(Folder, String)>> {
        Ok(vec![(Resource::new_own(0), "/".into())])
    }
}

impl Denied<'_> {
    /// Refuses and reports a use of `path`.
    fn path<T>(&self, path: &str) -> FsResult<T> {
        self.0.refuse(What::File, path, Refusal::file(path));
        Err(ErrorCode::Access.into())
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

/// Functions of a descriptor that are refused, as a table: `name(types of the arguments) -> type of the result`. An argument
/// `path` is the path that the sandbox reports; without one, it reports `/`.
macro_rules! refused {
    ($($name:ident($($before:ty),*; path $(, $after:ty)*) -> $result:ty;)*) => {$(
        async fn $name(&mut self, $(_: $before,)* path: String $(, _: $after)*) -> FsResult<$result> {
            self.path(&path)
        }
    )*};
    ($($name:ident($($argument:ty),*) -> $result:ty;)*) => {$(
        async fn $name(&mut self, $(_: $argument),*) -> FsResult<$result> {
            self.path("/")
        }
    )*};
}

impl types::HostDescriptor for Denied<'_> {
    refused! {
        open_at(Folder, PathFlags; path, OpenFlags, DescriptorFlags) -> Folder;
        stat_at(Folder, PathFlags; path) -> DescriptorStat;
        metadata_hash_at(Folder, PathFlags; path) -> MetadataHashValue;
        set_times_at(Folder, PathFlags; path, NewTimestamp, NewTimestamp) -> ();
        readlink_at(Folder; path) -> String;
        create_directory_at(Folder; path) -> ();
        remove_directory_at(Folder; path) -> ();
        unlink_file_at(Folder; path) -> ();
        rename_at(Folder; path, Folder, String) -> ();
        link_at(Folder, PathFlags; path, Folder, String) -> ();
        symlink_at(Folder, String; path) -> ();
    }

    refused! {
        stat(Folder) -> DescriptorStat;
        metadata_hash(Folder) -> MetadataHashValue;
        read_directory(Folder) -> Resource<DirectoryEntryStream>;
        read(Folder, Filesize, Filesize) -> (Vec<u8>, bool);
        write(Folder, Vec<u8>, Filesize) -> Filesize;
        advise(Folder, Filesize, Filesize, Advice) -> ();
        set_size(Folder, Filesize) -> ();
        set_times(Folder, NewTimestamp, NewTimestamp) -> ();
        sync(Folder) -> ();
        sync_data(Folder) -> ();
    }

    fn read_via_stream(&mut self, _: Folder, _: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.path("/")
    }

    fn write_via_stream(&mut self, _: Folder, _: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.path("/")
    }

    fn append_via_stream(&mut self, _: Folder) -> FsResult<Resource<DynOutputStream>> {
        self.path("/")
    }

    /// The type is not refused: a component asks for it before it opens anything.
    async fn get_type(&mut self, _: Folder) -> FsResult<DescriptorType> {
        Ok(DescriptorType::Directory)
    }

    /// No flags: the folder cannot even be read.
    async fn get_flags(&mut self, _: Folder) -> FsResult<DescriptorFlags> {
        Ok(DescriptorFlags::empty())
    }

    /// Always true: there is only one folder.
    async fn is_same_object(&mut self, _: Folder, _: Folder) -> Result<bool> {
        Ok(true)
    }

    fn drop(&mut self, _: Folder) -> Result<()> {
        Ok(())
    }
}

/// A component never gets such a stream, so it never calls these functions.
impl types::HostDirectoryEntryStream for Denied<'_> {
    async fn read_directory_entry(&mut self, _: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        self.path("/")
    }

    fn drop(&mut self, _: Resource<DirectoryEntryStream>) -> Result<()> {
        Ok(())
    }
}
