#!/usr/bin/perl

# An audit log that is a pipe, of which somebody may take his time to read, or nobody does: no request waits
# for that, and what is lost is counted.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;

use Fcntl qw/O_NONBLOCK O_RDONLY/;
use IO::Select;
use JSON::PP qw//;
use POSIX qw/mkfifo/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->plan(21);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      open { requests 1000000r/d; }
    tollgate_api_keys  keys.json;
    add_header         X-Worker $pid always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

        location /named {
            tollgate_audit_log  %%TESTDIR%%/pipe buffer=4k flush=10ms;
            try_files           /none /page;
        }

        location /out {
            tollgate_audit_log  /dev/stdout buffer=4k flush=10ms;
            try_files           /none /page;
        }

        location = /page {
            internal;
            tollgate off;
            return 200 PAGE;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));
mkfifo("$d/pipe", 0666) or die "Can't make a pipe: $!\n";
# The workers may be somebody else.
chmod 0666, "$d/pipe" or die "Can't chmod: $!\n";

# nginx's standard output is a pipe that nobody reads until we do.
pipe my $out, my $in or die "Can't make a pipe: $!\n";
open my $saved, '>&', \*STDOUT or die "Can't dup: $!\n";
open STDOUT, '>&', $in or die "Can't dup: $!\n";
$t->run();
open STDOUT, '>&', $saved or die "Can't dup: $!\n";
close $in;

###############################################################################

ok(-e "$d/nginx.pid", 'a pipe without a reader: nginx starts');
sysopen my $pipe, "$d/pipe", O_RDONLY | O_NONBLOCK or die "Can't open the pipe: $!\n";

# Somebody reads.

for (['/named', $pipe], ['/out', $out]) {
	my ($uri, $handle) = @$_;
	ask($uri, 'first');
	is(join(' ', ids(lines_of($handle, 1))), 'first', "$uri: a line, as soon as it is read");
}

# Nobody does: more than the pipe and the buffers hold, of lines that are long enough.

my $many = 900;
for (['/named', $pipe], ['/out', $out]) {
	my ($uri, $handle) = @$_;
	is(join(' ', grep { $_ ne '200' } map { ask($uri, "$_") } 1 .. $many), '', "$uri: nobody waits");
	ok(poll { said($uri, qr/whoever reads it takes too little/) }, "$uri: it is said");

	# It is read again.
	my @lines = lines_of($handle, 1);
	my %workers = map { $_ => 1 } said($uri, qr/whoever reads it takes too little/);
	poll {
		push @lines, lines_of($handle, 0);
		said($uri, qr/is written again/) >= keys %workers;
	};
	push @lines, lines_of($handle, 0);
	my $lost = 0;
	$lost += $_ for map { /(\d+) lines were lost/ } said($uri, qr/is written again/);
	cmp_ok($lost, '>', 0, "$uri: some are lost");
	is(scalar(@lines) + $lost, $many, "$uri: and counted");
	is(scalar(grep { !ids($_) } @lines), 0, "$uri: all others are whole");
	my %seen;
	is(scalar(grep { $seen{$_}++ } ids(@lines)), 0, "$uri: and there once");
}

# Who reads it goes, and another one comes: nothing is lost.

close $pipe;
is(ask('/named', 'alone'), 200, 'the reader is gone');
sysopen $pipe, "$d/pipe", O_RDONLY | O_NONBLOCK or die "Can't open the pipe: $!\n";
is(join(' ', ids(lines_of($pipe, 1))), 'alone', 'the next one reads what was written meanwhile');

# Reopened without a reader, and the end.

close $pipe;
kill 'USR1', $t->read_file('nginx.pid');
is(ask('/named', 'reopened'), 200, 'reopened: nobody waits');
sysopen $pipe, "$d/pipe", O_RDONLY | O_NONBLOCK or die "Can't open the pipe: $!\n";
is(join(' ', ids(lines_of($pipe, 1))), 'reopened', 'reopened: it is written');

ask('/named', $_) for 1 .. $many;
$t->stop();
ok(!-e "$d/nginx.pid", 'nginx ends, whoever reads');
my ($given_up) = said('/named', qr/lines of the audit log .* were lost/);
ok($given_up, 'and says what is lost');

###############################################################################

# With an id that makes the line long.
sub ask {
	my ($uri, $id) = @_;
	return status(get($uri, 'X-API-Key: key', "X-Request-ID: $id-" . 'x' x 100)) // 'none';
}

# The ids of those lines that are whole.
sub ids {
	return map {
		my $record = eval { JSON::PP->new->utf8->decode($_) };
		$record && ($record->{request_id} // '') =~ /^(\w+)-x+$/ ? $1 : ();
	} @_;
}

# The lines that can be read; if there are to be some, the first of them are waited for.
sub lines_of {
	my ($handle, $count) = @_;
	my $text = '';
	my $select = IO::Select->new($handle);
	poll {
		while ($select->can_read(0.1) && sysread($handle, my $part, 65536)) {
			$text .= $part;
		}
		($text =~ tr/\n//) >= $count;
	};
	return split /^/, $text;
}

# The lines of the error log about this one.
sub said {
	my ($uri, $pattern) = @_;
	my $path = $uri eq '/out' ? '/dev/stdout' : "$d/pipe";
	open my $file, '<', "$d/error.log" or return;
	return grep { /"\Q$path\E"/ && /$pattern/ } map { chomp; $_ } <$file>;
}

###############################################################################
