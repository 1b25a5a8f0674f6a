package Test::Nginx;

# The interface of nginx's own test library, as far as the tests of this project use it: a directory
# and a configuration for each test, nginx and daemons run on ports of their own, and raw HTTP
# requests. Written anew, as no package registry carries the original
# (https://github.com/nginx/nginx-tests); a test passes with either, so it must use nothing that
# the original lacks.
#
#	use Test::Nginx;
#
#	my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(1);
#	$t->write_file_expand('nginx.conf', <<'EOF');
#	%%TEST_GLOBALS%%
#	daemon off;
#	events {
#	}
#	http {
#	    %%TEST_GLOBALS_HTTP%%
#	    server {
#	        listen 127.0.0.1:8080;
#	        location / { return 204; }
#	    }
#	}
#	EOF
#	$t->run();
#
#	like(http_get('/'), qr/ 204 /, 'no content');
#
# Whatever the test checks, two more checks follow at its end: error.log has no line with [alert],
# and none of a sanitizer. They are made when $t is destroyed, so no named sub may refer to $t.
#
# Environment:
#
#	TEST_NGINX_BINARY        the nginx to test
#	TEST_NGINX_MODULES       where the dynamic modules are that nginx was configured with; the
#	                         directory of the binary by default. Those that exist are loaded
#	TEST_NGINX_GLOBALS       for the main level of every configuration, such as "load_module ...;"
#	TEST_NGINX_GLOBALS_HTTP  for the http level
#	TEST_NGINX_VERBOSE       print requests and responses
#	TEST_NGINX_CATLOG        print error.log at the end
#	TEST_NGINX_LEAVE         keep the test's directory
#	TEST_NGINX_WRITTEN       a file that gets the names of all files that the test itself writes there

use strict;
use warnings;

use Exporter qw/import/;

use File::Basename qw/dirname/;
use File::Path qw/remove_tree/;
use File::Spec qw//;
use File::Temp qw/tempdir/;
use IO::Socket::INET;
use POSIX qw/WNOHANG/;
use Test::More qw//;
use Time::HiRes qw/sleep time/;

our @EXPORT = qw/log_in log_out http http_get http_head port/;
our @EXPORT_OK = qw/http_start http_end http_content http_gzip_request http_gzip_like/;
our %EXPORT_TAGS = (gzip => [qw/http_gzip_request http_gzip_like/]);

our $NGINX = $ENV{TEST_NGINX_BINARY} // '../nginx/objs/nginx';

# Seconds. Generous, as several tests share a slow machine, and only a failing test waits so long.
use constant {
	START_TIMEOUT => 60,
	STOP_TIMEOUT => 60,
	TERM_TIMEOUT => 20,
	HTTP_TIMEOUT => 30,
};

###############################################################################
# The life of a test

sub new {
	my ($class) = @_;

	Test::More::BAIL_OUT("no nginx at '$NGINX': set TEST_NGINX_BINARY") unless -x $NGINX;

	# A test that is cut short must not leave its servers behind: exit() destroys the object, a signal
	# by itself does not.
	for my $signal (qw/HUP INT PIPE TERM/) {
		$SIG{$signal} //= sub {
			$SIG{$signal} = 'IGNORE';
			exit 1;
		};
	}

	my $testdir = tempdir('nginx-test-XXXXXXXXXX', TMPDIR => 1);

	# Workers of a master that runs as root are somebody else: let them in.
	chmod 0755, $testdir or die "Can't chmod $testdir: $!\n" if $> == 0;

	return bless {
		testdir => $testdir,
		# Children inherit the object; only its maker may clean up.
		pid => $$,
		daemons => [],
		alerts_are_todo => 0,
		started => 0,
	}, $class;
}

sub DESTROY {
	my ($self) = @_;

	return if $self->{pid} != $$;

	# Neither the exit status nor the error of the test is ours to change.
	local ($?, $@, $!);

	$self->stop();
	$self->stop_daemons();
	$self->_check_error_log() if Test::More->builder->expected_tests;

	print _lines('', $self->_error_log() // '') if $ENV{TEST_NGINX_CATLOG};
	remove_tree($self->{testdir}, { error => \my $ignored }) unless $ENV{TEST_NGINX_LEAVE};
	Test::More::diag("left $self->{testdir}") if $ENV{TEST_NGINX_LEAVE};
}

# Adds the two checks of the end to the number of tests.
sub plan {
	my ($self, $tests) = @_;
	Test::More::plan(tests => $tests + 2);
	return $self;
}

# For a test that provokes alerts: they are shown, but don't fail it.
sub todo_alerts {
	my ($self) = @_;
	$self->{alerts_are_todo} = 1;
	return $self;
}

sub _check_error_log {
	my ($self) = @_;

	# Without a log there is nothing to judge; the two tests are then missing from the plan.
	my $log = $self->_error_log() // return Test::More::diag('there is no error.log');
	my $lines = sub { join "\n", $log =~ /^.*$_[0].*$/mg };

	{
		# Test::More looks for it in the package that calls it.
		our $TODO;
		local $TODO = $self->{alerts_are_todo} ? 'alerts' : undef;
		Test::More::is($lines->(qr/\[alert\]/), '', 'no alerts');
	}
	Test::More::is($lines->(qr/Sanitizer/), '', 'no sanitizer errors');
}

sub _error_log {
	my ($self) = @_;
	return eval { $self->read_file('error.log') };
}

###############################################################################
# What a test needs; without it, the test is skipped

# Modules by their short names, or what else has_module() and has_feature() know.
sub has {
	my ($self, @features) = @_;
	for my $feature (@features) {
		Test::More::plan(skip_all => "no $feature available")
			unless $self->has_module($feature) or $self->has_feature($feature);
	}
	return $self;
}

sub has_daemon {
	my ($self, $daemon) = @_;
	Test::More::plan(skip_all => "$daemon not found")
		unless grep { -x "$_/$daemon" } split /:/, $ENV{PATH} // '';
	return $self;
}

# Modules that are there unless configure was told otherwise, and the option that tells it.
my %BUILT_BY_DEFAULT = (
	http => '--without-http',
	cache => '--without-http-cache',
	pcre => '--without-pcre',
	(map { $_ => "--without-http_${_}_module" } qw/
		access auth_basic autoindex browser charset empty_gif fastcgi geo grpc gzip limit_conn
		limit_req map memcached mirror proxy referer rewrite scgi split_clients ssi userid
		uwsgi upstream_hash upstream_ip_hash upstream_keepalive upstream_least_conn
		upstream_random upstream_zone
	/),
	(map { $_ => "--without-${_}_module" } qw/
		stream_access stream_geo stream_limit_conn stream_map stream_return stream_set
		stream_split_clients stream_upstream_hash stream_upstream_least_conn
		stream_upstream_random stream_upstream_zone
	/),
);

# And what must be seen in the output of `nginx -V` for others. An optional module of any other name
# is looked for by that name: http_v2, say.
my %BUILT_ON_REQUEST = (
	sni => qr/TLS SNI support enabled/,
	(map { $_ => qr/--with-http_${_}_module/ } qw/auth_request flv realip sub/),
	stream_ssl => qr/--with-stream_ssl_module/,
);

# Modules that may be dynamic, and the file that each is in then. In the order of loading.
my @DYNAMIC = (
	[http_geoip => 'ngx_http_geoip_module'],
	[image_filter => 'ngx_http_image_filter_module'],
	[perl => 'ngx_http_perl_module'],
	[xslt => 'ngx_http_xslt_filter_module'],
	[mail => 'ngx_mail_module'],
	[stream => 'ngx_stream_module'],
	[stream_geoip => 'ngx_stream_geoip_module'],
);

sub has_module {
	my ($self, $feature) = @_;
	my $built = $self->_build_info();

	if (my $option = $BUILT_BY_DEFAULT{$feature}) {
		return $built !~ /\Q$option\E(?!\S)/;
	}

	if (my ($dynamic) = grep { $_->[0] eq $feature } @DYNAMIC) {
		my (undef, $file) = @$dynamic;
		my $option = _dynamic_option($feature);
		return 1 if $built =~ /$option(?!\S)/;
		return 1 if ($ENV{TEST_NGINX_GLOBALS} // '') =~ /load_module\s[^;]*\Q$file\E[-\w]*\.so\s*;/;
		return $built =~ /$option=dynamic/ && -e $self->_module_path($file);
	}

	my $pattern = $BUILT_ON_REQUEST{$feature} // $feature;
	return $built =~ /$pattern/;
}

sub has_feature {
	my ($self, $feature) = @_;

	return 1 if $feature =~ /^(?:symlink|unix|udp)$/;

	# openssl:1.1.1b, a release or a later one. Its letters are part of the number.
	if (my ($library, $wanted) = $feature =~ /^(openssl|libressl):(\d[\d.]*[a-z]*)$/) {
		my ($found) = $self->_build_info() =~ /with $library (\d[\d.]*[a-z]*)/i or return 0;
		return _is_at_least($found, $wanted);
	}

	# socket_ssl and the like among others: TLS goes through curl here.
	return 0;
}

# Whether nginx is of that version or a later one.
sub has_version {
	my ($self, $wanted) = @_;
	my ($found) = $self->_build_info() =~ m{nginx version: \S+?/([\d.]+)}
		or die "Can't read the version of $NGINX\n";
	return _is_at_least($found, $wanted);
}

sub _is_at_least {
	my ($found, $wanted) = @_;
	my @found = $found =~ /\d+|[a-z]/g;
	for my $part ($wanted =~ /\d+|[a-z]/g) {
		my ($f, $w) = map { /[a-z]/ ? ord : $_ } shift(@found) // 0, $part;
		return $f > $w if $f != $w;
	}
	return 1;
}

# What `nginx -V` says: version, libraries, and the options of configure.
sub _build_info {
	my ($self) = @_;
	return $self->{build_info} //= _output_of($NGINX, '-V');
}

###############################################################################
# Running nginx

# Starts nginx and waits until it listens. The configuration is nginx.conf, or the contents of the
# file named, which is expanded first.
sub run {
	my ($self, $conf) = @_;

	if (defined $conf) {
		open my $file, '<', $conf or die "Can't open $conf: $!\n";
		$self->write_file_expand('nginx.conf', do { local $/; <$file> });
	}

	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid == 0) {
		exec $self->_command() or POSIX::_exit(127);
	}

	# nginx writes its pid when it listens, and before it starts workers.
	$self->waitforfile("$self->{testdir}/nginx.pid", $pid) or die "Can't start nginx\n";
	$self->{started} = 1;
	return $self;
}

# As run(), but where nginx refuses the configuration, the test is skipped.
sub try_run {
	my ($self, $message) = @_;

	open my $stderr, '>&', \*STDERR or die "Can't dup stderr: $!\n";
	open STDERR, '>', '/dev/null' or die "Can't open /dev/null: $!\n";
	my $started = eval { $self->run(); 1 };
	open STDERR, '>&', $stderr or die "Can't restore stderr: $!\n";
	return $self if $started;

	_log('', $self->_error_log() // '');
	Test::More::plan(skip_all => $message);
}

# Returns at once: the old workers may still answer. A test polls for what it waits for.
sub reload {
	my ($self) = @_;
	kill 'HUP', $self->_master_pid() if $self->{started};
	return $self;
}

# Stops nginx gracefully, and waits for it; after too long a time, not gracefully.
sub stop {
	my ($self) = @_;
	return $self unless $self->{started};
	$self->{started} = 0;

	# There is no pid file where the test has stopped nginx itself.
	my $pid = eval { $self->_master_pid() } // return $self;
	kill 'QUIT', $pid;
	if (!_wait_for_exit($pid, STOP_TIMEOUT)) {
		Test::More::diag('nginx does not stop on QUIT: sending TERM');
		_terminate($pid);
	}
	return $self;
}

# The configuration that nginx sees (`nginx -T`), or its errors.
sub dump_config {
	my ($self) = @_;
	return _output_of($self->_command('-T'));
}

sub _command {
	my ($self, @options) = @_;
	my $testdir = $self->{testdir};

	# A configuration without %%TEST_GLOBALS%% lacks these.
	my @globals = defined $self->{globals}
		? () : ('-g', "pid $testdir/nginx.pid; error_log $testdir/error.log debug;");

	# Older ones complain of a log that they cannot open, and go on.
	my @log = $self->has_version('1.19.5') ? ('-e', 'error.log') : ();

	return ($NGINX, @options, '-p', "$testdir/", '-c', 'nginx.conf', @log, @globals);
}

# Not necessarily the process that was started: a test may upgrade the binary.
sub _master_pid {
	my ($self) = @_;
	my ($pid) = $self->read_file('nginx.pid') =~ /^(\d+)/ or die "No pid in nginx.pid\n";
	return $pid;
}

###############################################################################
# Other servers

# Runs a sub, or a program, in a process that lives until the test ends.
sub run_daemon {
	my ($self, $code, @arguments) = @_;

	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid == 0) {
		if (ref $code eq 'CODE') {
			$SIG{$_} = 'DEFAULT' for qw/HUP INT PIPE TERM/;
			$code->(@arguments);
			exit 0;
		}
		exec $code, @arguments or warn "Can't run $code: $!\n";
		POSIX::_exit(127);
	}

	push @{$self->{daemons}}, $pid;
	return $self;
}

sub stop_daemons {
	my ($self) = @_;
	while (defined(my $pid = shift @{$self->{daemons}})) {
		_terminate($pid);
	}
	return $self;
}

# Waits for a file to appear: 1 when it is there, and something false when it isn't, or when the
# process named has ended without it.
sub waitforfile {
	my ($self, $file, $pid) = @_;
	my $has_ended = 0;
	return _poll(START_TIMEOUT, sub {
		# In this order: the process may make the file and end between two looks.
		return 1 if -e $file;
		return 0 if $has_ended;
		$has_ended = 1 if $pid && waitpid($pid, WNOHANG) != 0;
		return undef;
	});
}

# Waits until something accepts connections at ADDRESS:PORT.
sub waitforsocket {
	my ($self, $peer) = @_;
	return _poll(START_TIMEOUT, sub {
		return IO::Socket::INET->new(Proto => 'tcp', PeerAddr => $peer) ? 1 : undef;
	});
}

# What $condition returns, as soon as that is defined.
sub _poll {
	my ($timeout, $condition) = @_;
	my $end = time() + $timeout;
	while (1) {
		my $outcome = $condition->();
		return $outcome if defined $outcome or time() > $end;
		sleep 0.02;
	}
}

sub _wait_for_exit {
	my ($pid, $timeout) = @_;
	return _poll($timeout, sub { waitpid($pid, WNOHANG) != 0 ? 1 : undef });
}

sub _terminate {
	my ($pid) = @_;
	for my $signal (qw/TERM KILL/) {
		kill $signal, $pid;
		return if _wait_for_exit($pid, TERM_TIMEOUT);
	}
}

sub _output_of {
	my (@command) = @_;
	my $pid = open(my $output, '-|') // die "Can't fork: $!\n";
	if ($pid == 0) {
		open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
		exec @command or POSIX::_exit(127);
	}
	local $/;
	return scalar(<$output>) // '';
}

###############################################################################
# The test's directory

sub testdir {
	my ($self) = @_;
	return $self->{testdir};
}

sub read_file {
	my ($self, $name) = @_;
	open my $file, '<:raw', "$self->{testdir}/$name" or die "Can't open $name: $!\n";
	local $/;
	return scalar(<$file>) // '';
}

sub write_file {
	my ($self, $name, $content) = @_;
	open my $file, '>:raw', "$self->{testdir}/$name" or die "Can't create $name: $!\n";
	print $file $content;
	close $file or die "Can't write $name: $!\n";
	_note_written($name) if $ENV{TEST_NGINX_WRITTEN};
	return $self;
}

sub _note_written {
	my ($name) = @_;
	my $list = $ENV{TEST_NGINX_WRITTEN};
	open my $file, '>>', $list or die "Can't write $list: $!\n";
	print $file "$name\n";
	close $file or die "Can't write $list: $!\n";
}

# Writes a file after filling in %%TEST_GLOBALS%%, %%TEST_GLOBALS_HTTP%%, %%TEST_GLOBALS_STREAM%%,
# %%TESTDIR%%, %%PORT_8080%%, %%PORT_8080_UDP%%, and the ports of 127.0.0.1:8080 and the like.
sub write_file_expand {
	my ($self, $name, $content) = @_;

	$content =~ s/%%TEST_GLOBALS%%/$self->test_globals()/ge;
	$content =~ s/%%TEST_GLOBALS_HTTP%%/$self->test_globals_http()/ge;
	$content =~ s/%%TEST_GLOBALS_STREAM%%/$ENV{TEST_NGINX_GLOBALS_STREAM} \/\/ ''/ge;
	$content =~ s/%%TESTDIR%%/$self->{testdir}/g;
	$content =~ s/127\.0\.0\.1:(8\d\d\d)/'127.0.0.1:' . port($1)/ge;
	$content =~ s/%%PORT_(\d+)%%/port($1)/ge;
	$content =~ s/%%PORT_(\d+)_UDP%%/port($1, udp => 1)/ge;

	return $self->write_file($name, $content);
}

sub test_globals {
	my ($self) = @_;
	return $self->{globals} //= join '',
		"pid $self->{testdir}/nginx.pid;\n",
		"error_log $self->{testdir}/error.log debug;\n",
		map({ "load_module $_;\n" } $self->_dynamic_modules()),
		$ENV{TEST_NGINX_GLOBALS} // '';
}

sub test_globals_http {
	my ($self) = @_;
	my $testdir = $self->{testdir};
	return $self->{globals_http} //= join '',
		"root $testdir;\n",
		"access_log $testdir/access.log;\n",
		"client_body_temp_path $testdir/client_body_temp;\n",
		map({ "${_}_temp_path $testdir/${_}_temp;\n" }
			grep { $self->has_module($_) } qw/fastcgi proxy scgi uwsgi/),
		$ENV{TEST_NGINX_GLOBALS_HTTP} // '';
}

# Those that nginx was configured with. Where one was packaged apart and isn't installed, the tests
# that need it are skipped, rather than all tests fail.
sub _dynamic_modules {
	my ($self) = @_;
	my @files = map { $self->_module_path($_->[1]) }
		grep { my $option = _dynamic_option($_->[0]); $self->_build_info() =~ /$option=dynamic/ }
		@DYNAMIC;
	return grep { -e } @files;
}

# --with-mail, --with-http_perl_module, --with-stream_geoip_module
sub _dynamic_option {
	my ($module) = @_;
	return qr/--with-(?:http_)?\Q$module\E(?:_module)?/;
}

sub _module_path {
	my ($self, $file) = @_;
	return File::Spec->rel2abs($ENV{TEST_NGINX_MODULES} // dirname($NGINX)) . "/$file.so";
}

###############################################################################
# Ports

# The ports taken by this process: what was asked for => port and lock.
my %ports;

# The port to use where the test says $number: the same one, unless another test has it. It stays
# ours until we exit. The lock on a TCP port is a UDP socket on that number, which leaves the TCP
# port to nginx, and the other way round; the original has the same lock, so both can run at once.
sub port {
	my ($number, %options) = @_;

	my $taken = $ports{$number} //= _take_port($number, $options{udp});
	return $options{socket} ? $taken->{lock} : $taken->{port};
}

sub _take_port {
	my ($number, $is_udp) = @_;
	my ($proto, $lock_proto) = $is_udp ? qw/udp tcp/ : qw/tcp udp/;

	# Below the ports that the system picks for outgoing connections.
	my $base = int($number / 500) * 500;
	for my $port ($number, map { $base + int rand 500 } 1 .. 100) {
		my $lock = _bind($lock_proto, $port) or next;
		# Somebody who doesn't know of the lock may have it all the same.
		_bind($proto, $port) or next;
		return { port => $port, lock => $lock };
	}
	die "No free port near $number\n";
}

sub _bind {
	my ($proto, $port) = @_;
	return IO::Socket::INET->new(
		Proto => $proto,
		LocalAddr => "127.0.0.1:$port",
		$proto eq 'tcp' ? (Listen => 1, ReuseAddr => 1) : (),
	);
}

###############################################################################
# HTTP

sub http_get {
	my ($uri, %extra) = @_;
	return http("GET $uri HTTP/1.0\nHost: localhost\n\n", %extra);
}

sub http_head {
	my ($uri, %extra) = @_;
	return http("HEAD $uri HTTP/1.0\nHost: localhost\n\n", %extra);
}

# Sends a request, as it is, and returns the response until the server closes the connection; undef
# when that takes too long. Options:
#
#	start => 1    return the connected socket instead, for http_end()
#	socket => $s  on this connection
#	sleep => N    wait so many seconds when the request is sent
#	body => TEXT  send this after that
#
# and what IO::Socket::INET knows, PeerAddr for example.
sub http {
	my ($request, %extra) = @_;
	my $socket = http_start($request, %extra);
	return $socket if $extra{start} or !defined $socket;
	return http_end($socket, %extra);
}

sub http_start {
	my ($request, %extra) = @_;
	die "TLS is not supported: use curl\n" if $extra{SSL};

	return _in_time(sub {
		my $socket = $extra{socket} || IO::Socket::INET->new(
			Proto => 'tcp',
			PeerAddr => '127.0.0.1:' . port(8080),
			%extra,
		) or die "Can't connect to nginx: $!\n";

		log_out($request);
		$socket->print($request);
		sleep $extra{sleep} if $extra{sleep};
		if ($extra{body}) {
			log_out($extra{body});
			$socket->print($extra{body});
		}
		return $socket;
	});
}

# The rest of what comes on a connection; it is closed then.
sub http_end {
	my ($socket) = @_;
	my $response = _in_time(sub {
		local $/;
		my $response = $socket->getline();
		$socket->close();
		return $response;
	});
	log_in($response) if defined $response;
	return $response;
}

# Its value; undef if it dies, or isn't done in time.
sub _in_time {
	my ($code) = @_;
	my $value = eval {
		local $SIG{ALRM} = sub { die "timeout\n" };
		local $SIG{PIPE} = sub { die "the connection is closed\n" };
		alarm HTTP_TIMEOUT;
		my $value = $code->();
		alarm 0;
		$value;
	};
	my $error = $@;
	alarm 0;
	log_in("died: $error") if $error;
	return $value;
}

# The body of a response, without its chunked framing; where that lacks its end, '[no-last-chunk]'
# follows. undef if there is no response.
sub http_content {
	my ($response) = @_;

	return undef unless defined $response;
	my ($head, $rest) = $response =~ /^(.*?)\r?\n\r?\n(.*)$/s or return undef;
	return $rest unless $head =~ /^Transfer-Encoding:\s*chunked/im;

	my $content = '';
	while ($rest =~ /\G(?:\r\n)?([0-9a-f]+)[^\r\n]*\r\n/gci) {
		my $size = hex $1;
		return $content if $size == 0;
		$content .= substr $rest, pos $rest, $size;
		pos($rest) = _min(pos($rest) + $size, length $rest);
	}
	return "${content}[no-last-chunk]";
}

sub _min {
	my ($a, $b) = @_;
	return $a < $b ? $a : $b;
}

sub http_gzip_request {
	my ($uri) = @_;
	return http("GET $uri HTTP/1.1\nHost: localhost\nConnection: close\n"
		. "Accept-Encoding: gzip\n\n");
}

# Like like(), on the uncompressed body of a response.
sub http_gzip_like {
	my ($response, $pattern, $name) = @_;
	require IO::Uncompress::Gunzip;
	my $content = http_content($response);
	my $plain;
	IO::Uncompress::Gunzip::gunzip(\$content => \$plain) if defined $content;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	Test::More::like($plain, $pattern, $name);
}

###############################################################################
# What TEST_NGINX_VERBOSE shows

sub log_out {
	_log('>> ', @_);
}

sub log_in {
	_log('<< ', @_);
}

sub _log {
	my ($prefix, $message) = @_;
	print _lines($prefix, $message) if $ENV{TEST_NGINX_VERBOSE};
}

# As comments of TAP; what a terminal might obey is escaped.
sub _lines {
	my ($prefix, $message) = @_;
	return join '', map {
		s/([^\x20-\x7e\t])/sprintf '\\x%02x', ord $1/ger =~ s/^/# $prefix/r . "\n"
	} split /\n/, $message // '';
}

1;
