package Tollgate::Client;

# What tests of a running Tollgate need beyond Tollgate.pm: several requests on one connection, the
# audit log, workers, and waiting for something to be true instead of waiting for some time.

use strict;
use warnings;

use Exporter qw/import/;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw//;
use Test::Nginx qw/http_content log_in log_out port/;
use Time::HiRes qw/sleep time/;
use Tollgate qw/get status/;

our @EXPORT = qw/request connection content_json curl ping poll audit_lines workers is_accepting reload_and_wait
	wait_for_new connections_to_workers configtest/;

# Only a failing test waits so long.
use constant PATIENCE => 60;

# The text of a GET, or of "METHOD URI", for a connection that stays open.
sub request {
	my ($uri, @lines) = @_;
	my $line = $uri =~ / / ? $uri : "GET $uri";
	return join "\r\n", "$line HTTP/1.1", 'Host: localhost', @lines, '', '';
}

# The body of a response as JSON; undef if it isn't.
sub content_json {
	my ($response) = @_;
	return eval { JSON::PP->new->utf8->decode(http_content($response)) };
}

# What curl prints: for HTTP/2.
sub curl {
	my (@arguments) = @_;
	my $pid = open(my $output, '-|', 'curl', '-sS', '--max-time', PATIENCE, @arguments)
		// die "Can't run curl: $!\n";
	local $/;
	my $printed = scalar(<$output>) // '';
	log_out(join ' ', 'curl', @arguments);
	log_in($printed);
	return $printed;
}

###############################################################################
# Waiting

# What $condition returns as soon as it is true; false if that takes too long.
sub poll(&) {
	my ($condition) = @_;
	my $end = time() + PATIENCE;
	while (1) {
		my $outcome = $condition->();
		return $outcome if $outcome or time() > $end;
		sleep 0.02;
	}
}

# The records of an audit log, as hashes, once there are at least so many lines. A line that isn't
# valid JSON shows up as a string.
sub audit_lines {
	my ($t, $name, $count) = @_;
	my $text;
	poll {
		$text = eval { $t->read_file($name) } // '';
		($text =~ tr/\n//) >= ($count // 0);
	};
	# utf8 makes invalid UTF-8 an error, too.
	my $json = JSON::PP->new->utf8;
	return map { my $line = $_; eval { $json->decode($line) } // "no JSON: $line" }
		split /\n/, $text // '';
}

# The workers that accept connections, once there are as many as nginx.conf asks for: one that is just forked has no title of its
# own yet.
sub workers {
	my ($t) = @_;
	my ($wanted) = $t->read_file('nginx.conf') =~ /^\s*worker_processes\s+(\d+);/m;
	my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
	my @found;
	poll {
		@found = _workers_of($t, $master);
		@found >= ($wanted // 1) || _slurp("/proc/$master/stat") !~ /^.*\) [^Z]/;
	};
	return @found;
}

sub _workers_of {
	my ($t, $master) = @_;
	return grep {
		my ($parent) = _slurp("/proc/$_/stat") =~ /^.*\) \S+ (\d+)/;
		($parent // 0) == $master && is_accepting($t, $_);
	} map { m!/proc/(\d+)$! } glob('/proc/[0-9]*');
}

# Whether a process is a worker that accepts connections.
sub is_accepting {
	my ($t, $pid) = @_;
	my $title = _slurp("/proc/$pid/cmdline");
	return $title =~ /worker process(?! is shutting)/ if $title eq '' || $title =~ /^nginx: /;
	# Under valgrind the kernel shows the arguments of valgrind, which never change.
	my $log = _slurp($t->testdir() . '/error.log');
	return $log =~ /: start worker process $pid$/m && $log !~ / $pid#\S+ gracefully shutting down/;
}

sub _slurp {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	return scalar(<$file>) // '';
}

# Reloads, and waits until all new connections come to new workers. Returns the old ones.
sub reload_and_wait {
	my ($t) = @_;
	my @old = workers($t);
	$t->reload();
	wait_for_new($t, @old);
	return @old;
}

# Waits, after a reload, until no new connection comes to the old workers. nginx may take two reloads for one where the second
# comes before that.
sub wait_for_new {
	my ($t, @old) = @_;
	my %is_old = map { $_ => 1 } @old;
	poll {
		my @now = workers($t);
		@now && !grep { $is_old{$_} } @now;
	} or die "nginx does not reload\n";
}

# Whatever was sent before has come to nginx when this is answered: /ping returns 204.
sub ping {
	status(get('/ping')) == 204 or die "nginx does not answer\n" for 1 .. 2;
}

# What nginx -t says of this configuration: its exit status, and what it prints.
sub configtest {
	my ($t, $conf) = @_;
	my $dir = $t->testdir();
	my $nginx = $ENV{TEST_NGINX_BINARY} // '../nginx/objs/nginx';
	$t->write_file_expand('test.conf', $conf);
	my $log = $t->has_version('1.19.5') ? '-e error.log' : '';
	my $output = `$nginx -t -p $dir/ -c test.conf $log 2>&1`;
	my $status = $? >> 8;
	# Where nginx doesn't run, that leaves an empty one, which looks as if it did.
	unlink "$dir/nginx.pid" if -z "$dir/nginx.pid";
	return ($status, $output);
}

###############################################################################
# Several requests on one connection

sub connection {
	my (%options) = @_;
	my $socket = IO::Socket::INET->new(
		Proto => 'tcp',
		PeerAddr => '127.0.0.1:' . port($options{port} // 8080),
	) or die "Can't connect to nginx: $!\n";
	return bless { socket => $socket, buffer => '' }, __PACKAGE__;
}

# $count connections to each of $workers workers: a hash by their pids. /pid returns 200 $pid, and the
# listening socket is one with reuseport.
sub connections_to_workers {
	my ($workers, $count) = @_;
	my %connections;
	poll {
		my $connection = connection();
		# One that an old worker did not accept any more is closed.
		my ($pid) = ($connection->ask(request('/pid')) // '') =~ /(\d+)\s*$/ or return 0;
		my $own = $connections{$pid} //= [];
		push @$own, $connection if @$own < $count;
		$workers == grep { @$_ == $count } values %connections;
	} or die "Some worker accepts no connections\n";
	return \%connections;
}

# Sends $text as it is; false when the server has closed the connection.
sub send {
	my ($self, $text) = @_;
	local $SIG{PIPE} = 'IGNORE';
	log_out($text);
	return $self->{socket}->print($text) && $self->{socket}->flush();
}

# The next response (informational ones are skipped, and counted); undef when there is none. Where
# it has no body, as with HEAD, the caller must say so.
sub answer {
	my ($self, %options) = @_;
	while (1) {
		$self->_fill(sub { $self->{buffer} =~ /\r\n\r\n/ }) or return undef;
		my ($head, $rest) = $self->{buffer} =~ /^(.*?\r\n\r\n)(.*)$/s;
		$self->{buffer} = $rest;
		my $status = status($head) // return undef;
		if ($status < 200) {
			$self->{informational}++;
			next;
		}
		log_in($head) if $options{head} or $status == 204 or $status == 304;
		return $head if $options{head} or $status == 204 or $status == 304;
		my $response = $head . ($self->_body($head) // return undef);
		log_in($response);
		return $response;
	}
}

# Sends, and reads the response.
sub ask {
	my ($self, $text, %options) = @_;
	$self->send($text);
	return $self->answer(%options);
}

sub informational {
	my ($self) = @_;
	return $self->{informational} // 0;
}

# Whether something has come by now: nobody waits for it.
sub has_answer {
	my ($self) = @_;
	return length $self->{buffer} || IO::Select->new($self->{socket})->can_read(0) ? 1 : 0;
}

# What has come and wasn't read, as soon as $is_enough says so of it; undef when it never does.
sub peek {
	my ($self, $is_enough) = @_;
	return $self->_fill(sub { $is_enough->($self->{buffer}) }) ? $self->{buffer} : undef;
}

# Whether the server closes the connection without sending anything more.
sub is_closed {
	my ($self) = @_;
	return !$self->_fill(sub { length $self->{buffer} }) && $self->{ended};
}

sub close {
	my ($self) = @_;
	$self->{socket}->close();
}

sub _body {
	my ($self, $head) = @_;
	if ($head =~ /^Transfer-Encoding:\s*chunked/im) {
		$self->_fill(sub { $self->{buffer} =~ /(?:^|\r\n)0\r\n\r\n/ }) or return undef;
		$self->{buffer} =~ s/^(.*?(?:^|\r\n)0\r\n\r\n)//s;
		return $1;
	}
	if (my ($length) = $head =~ /^Content-Length:\s*(\d+)/im) {
		$self->_fill(sub { length $self->{buffer} >= $length }) or return undef;
		return substr $self->{buffer}, 0, $length, '';
	}
	$self->_fill(sub { 0 });
	return substr $self->{buffer}, 0, length $self->{buffer}, '';
}

# Reads until that is so; false when the connection ends before, or it takes too long.
sub _fill {
	my ($self, $is_enough) = @_;
	my $end = time() + PATIENCE;
	until ($is_enough->()) {
		vec(my $readable = '', fileno($self->{socket}), 1) = 1;
		my $left = $end - time();
		return 0 if $left <= 0 or !select($readable, undef, undef, $left);
		if (!sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer}) {
			$self->{ended} = 1;
			return 0;
		}
	}
	return 1;
}

1;
