package local_emr;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.DelegateToFileSystem;

/** {@link DirectoryFileSystem} for callers of Hadoop's FileContext, such as Spark's streaming checkpoints. */
public class DirectoryFileContext extends DelegateToFileSystem {
    public DirectoryFileContext(URI uri, Configuration conf) throws IOException, URISyntaxException {
        super(uri, new DirectoryFileSystem(), conf, uri.getScheme(), false);
    }

    public int getUriDefaultPort() {
        return -1;
    }
}
