package local_emr;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * S3 and HDFS as folders: s3://bucket/key is the file {@code <local_emr.s3>/bucket/key}, hdfs:///path is
 * {@code <local_emr.hdfs>/path}; both folders come as system properties. Compiled by Janino, which infers no generics.
 */
public class DirectoryFileSystem extends RawLocalFileSystem {
    private static final String USER = "hadoop";

    /** In capitals: of "hdfs" itself Hive asks for encryption zones, in the client's own class (getHdfsEncryptionShim). */
    private static final String HDFS = "HDFS";

    private URI uri;
    private File root;

    public void initialize(URI name, Configuration conf) throws IOException {
        String scheme = name.getScheme();
        String authority = name.getAuthority();
        if (isHdfs(scheme)) {
            root = new File(System.getProperty("local_emr.hdfs"));
        } else if (authority == null) {
            throw new IOException("Name a bucket: " + name + " has none");
        } else {
            root = new File(System.getProperty("local_emr.s3"), authority);
            if (!root.isDirectory()) {
                throw new FileNotFoundException("NoSuchBucket: The specified bucket does not exist: " + authority);
            }
        }
        uri = URI.create((isHdfs(scheme) ? HDFS : scheme) + "://" + (authority == null ? "/" : authority));
        super.initialize(uri, conf);
        setWorkingDirectory(getHomeDirectory());
    }

    /** The base class asks for it while it is constructed, when there is none yet. */
    public URI getUri() {
        return uri == null ? super.getUri() : uri;
    }

    public String getScheme() {
        return uri.getScheme().toLowerCase();
    }

    public Path getHomeDirectory() {
        return makeQualified(new Path(isHdfs(uri.getScheme()) ? "/user/" + USER : "/"));
    }

    public File pathToFile(Path path) {
        checkPath(path);
        Path absolute = path.isAbsolute() ? path : new Path(getWorkingDirectory(), path);
        return new File(root, absolute.toUri().getPath());
    }

    public FileStatus getFileStatus(Path path) throws IOException {
        return status(pathToFile(path), path);
    }

    public FileStatus getFileLinkStatus(Path path) throws IOException {
        return getFileStatus(path);
    }

    public boolean supportsSymlinks() {
        return false;
    }

    public FileStatus[] listStatus(Path path) throws IOException {
        File file = pathToFile(path);
        String[] names = file.list();
        if (names == null) {
            return new FileStatus[] {status(file, path)};
        }
        java.util.Arrays.sort(names);
        java.util.ArrayList found = new java.util.ArrayList();
        for (int i = 0; i < names.length; i++) {
            File child = new File(file, names[i]);
            if (child.exists()) { // another task may have removed it since
                found.add(status(child, new Path(path, new Path(null, null, names[i]))));
            }
        }
        return (FileStatus[]) found.toArray(new FileStatus[0]);
    }

    private static boolean isHdfs(String scheme) {
        return scheme.equalsIgnoreCase(HDFS);
    }

    /** As HDFS does it: into an existing folder, never over an existing file. */
    public boolean rename(Path from, Path to) throws IOException {
        File source = pathToFile(from);
        File target = pathToFile(to);
        if (target.isDirectory()) {
            target = new File(target, source.getName());
        }
        if (!source.exists() || target.exists()) {
            return false;
        }
        target.getParentFile().mkdirs();
        Files.move(source.toPath(), target.toPath(), new java.nio.file.CopyOption[0]);
        return true;
    }

    private FileStatus status(File file, Path path) throws IOException {
        if (!file.exists()) {
            throw new FileNotFoundException("No such file or directory: " + makeQualified(path));
        }
        boolean folder = file.isDirectory();
        FsPermission permission = folder ? FsPermission.getDirDefault() : FsPermission.getFileDefault();
        return new FileStatus(folder ? 0 : file.length(), folder, 1, getDefaultBlockSize(path), file.lastModified(),
            file.lastModified(), permission, USER, USER, makeQualified(path));
    }
}
