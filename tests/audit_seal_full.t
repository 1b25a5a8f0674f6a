#!/usr/bin/perl

# A sealed audit log that can't be written for a while: a disk that is full, which here is the limit on the size of
# files; a pipe that nobody reads; a folder that is removed. What is lost is told, and nothing is suspected that
# nobody has done.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;

use Fcntl qw/O_NONBLOCK O_RDONLY/;
use JSON::PP qw//;
use POSIX qw/mkfifo/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $command = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $command;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('prlimit')->todo_alerts()->plan(21);
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

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

        location /file {
            tollgate_audit_log  %%TESTDIR%%/file.log buffer=4k flush=10ms seal=file.key;
            try_files           /none /page;
        }

        location /pipe {
            tollgate_audit_log  %%TESTDIR%%/pipe buffer=4k flush=10ms seal=pipe.key;
            try_files           /none /page;
        }

        location /folder {
            tollgate_audit_log  %%TESTDIR%%/folder/log seal=folder.key;
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
for my $name (qw/file pipe folder/) {
	system("$command audit seal keygen --seal $d/$name.key --verify $d/$name.verify 2>/dev/null") && die "no keys\n";
}
mkfifo("$d/pipe", 0666) or die "Can't make a pipe: $!\n";
mkdir "$d/folder" or die "Can't make a folder: $!\n";
# The workers may be somebody else.
chmod 0666, "$d/pipe";
chmod 0777, "$d/folder";
$t->run();

###############################################################################
# A full disk: no file grows beyond a limit. What lies beside the keys is smaller than that.

my @heads = map { -s $_ } glob "$d/*.heads";
my ($limit) = sort { $b <=> $a } @heads;
$limit += 4000;
poll { 2 == workers($t) } or die "No workers\n";
my @workers = workers($t);
limit($_, $limit) for @workers;
my $asked = 0;
my $answered = 0;
while ($asked < 4000 && (-s "$d/file.log") < $limit) {
	$asked++;
	$answered += ask('/file' . 'x' x 2000);
}
is(-s "$d/file.log", $limit, 'a full disk: filled to the last byte');
for (1 .. 40) {
	$asked++;
	$answered += ask('/file' . 'x' x 500);
}
is($answered, $asked, 'a full disk: each request is served');
is(intact('file.verify', 'file.log'), 0, 'a full disk: nothing is suspected');

limit($_, 'unlimited') for @workers;
my $writes = sub { scalar(() = slurp('error.log') =~ /"\Q$d\E\/file\.log" is written again; \d+ lines were lost/g) };
poll { $writes->() } or die "It is not written again\n";
ask('/file');
poll { slurp('file.log') =~ /"path":"\/file"/ };
is(intact('file.verify', 'file.log'), 0, 'room again: nothing is suspected');
my ($status, $report) = verify('file.verify', 'file.log');
like(join(' ', map { $_->{kind} } @{$report->{notes}}), qr/lost/, 'room again: it is told that lines are lost');
is((verify('file.verify', 'file.log', '--strict'))[0], 1, 'room again: which can be asked for');

# It is said of those lines only that were really lost; a line less is found.
my $text = slurp('file.log');
spew('less.log', $text =~ s/^\{"time".*?\n//mr);
is((verify('file.verify', 'less.log'))[0], 1, 'room again: a line less is found');
my ($last) = $text =~ /^(\{"time"[^\n]*"path":"\/file"[^\n]*\n)/m;
spew('more.log', $text =~ s/\Q$last\E/$last$last/r);
is((verify('file.verify', 'more.log'))[0], 1, 'room again: and so is a line more');

###############################################################################
# The log is rotated while the disk is full: what waits goes to the next file, and the full one may be deleted.

my $full = (-s "$d/file.log") + 9000;
limit($_, $full) for @workers;
for (1 .. 4000) {
	last if (-s "$d/file.log") == $full;
	ask('/file' . 'x' x 2000);
}
ask('/file/waits') for 1 .. 40;
rename "$d/file.log", "$d/file.log.1" or die "Can't rename: $!\n";
kill 'USR1', slurp('nginx.pid') =~ /(\d+)/;
poll { slurp('file.log') =~ /"path":"\/file\/waits"/ } or die "Not reopened\n";
limit($_, 'unlimited') for @workers;
# Both workers have written to it, and neither has anything left that waits.
poll {
	ask('/file/new');
	my %seals = map { $_ => 1 } slurp('file.log') =~ /^\{"seal":\{"chain":"([\d.]+)"/mg;
	%seals == 2 && slurp('file.log') =~ /"path":"\/file\/new"/;
} or die "Not by both\n";
like(slurp('file.log'), qr/"waited":\d/, 'rotated: a seal says that what waited is in the next file');
is(intact('file.verify', "file.log.1 $d/file.log"), 0, 'rotated: nothing is suspected');
is(intact('file.verify', 'file.log'), 0, 'rotated: nor where the full file is gone');
my $new = slurp('file.log');
my ($chain) = $new =~ /"waited":/ && $new =~ /\{"seal":\{"chain":"([\d.]+)"[^\n]*"waited":/;
my $cut = $new =~ s/\A(?:(?!\{"seal":\{"chain":"\Q$chain\E")[^\n]*\n)*//r;
spew('cut.log', $cut =~ s/^\{"seal":\{"chain":"\Q$chain\E"[^\n]*\n//r);
isnt($cut, $new, 'rotated: its beginning is cut off');
is((verify('file.verify', 'cut.log'))[0], 1, 'rotated: which is found');

###############################################################################
# A pipe: first nobody reads, and then somebody does.

my $taken = '';
ask('/pipe' . 'x' x 1000) for 1 .. 300;
sysopen my $pipe, "$d/pipe", O_RDONLY | O_NONBLOCK or die "Can't open the pipe: $!\n";
# One that comes while the buffer is still full is lost.
poll { ask('/pipe/last'); drain(); $taken =~ /"path":"\/pipe\/last"/ };
poll { drain(); $taken =~ /"path":"\/pipe\/last".*\n\{"seal":\{"chain"/s };
drain();
# What was begun stays in the pipe until nginx ends.
spew('piped', $taken =~ s/[^\n]*\z//r);
is(intact('pipe.verify', 'piped'), 0, 'a pipe: nothing is suspected');
like(join(' ', map { "$_->{kind}: $_->{text}" } @{(verify('pipe.verify', 'piped'))[1]->{notes}}),
	qr/lost: \d+ lines of chain/, 'a pipe: it is told that lines are lost');
my ($first) = $taken =~ /^(\{"time"[^\n]*\n)/m;
spew('twice', slurp('piped') =~ s/\Q$first\E/$first$first/r);
is((verify('pipe.verify', 'twice'))[0], 1, 'a pipe: a line that is there twice is found');

###############################################################################
# A folder that is removed takes what is in it along; and what is written until logs are reopened.

ask('/folder') for 1 .. 5;
poll {
	my $lines = () = slurp('folder/log') =~ /"path"/g;
	$lines == 5;
};
spew('kept.log', slurp('folder/log'));
unlink "$d/folder/log";
rmdir "$d/folder" or die "Can't remove the folder: $!\n";
is(join(' ', map { ask('/folder') } 1 .. 5), '1 1 1 1 1', 'no folder: each request is served');
mkdir "$d/folder" or die "Can't make a folder: $!\n";
chmod 0777, "$d/folder";
kill 'USR1', slurp('nginx.pid') =~ /(\d+)/;
poll { -e "$d/folder/log" } or die "Not reopened\n";
poll { ask('/folder'); slurp('folder/log') =~ /"path"/ };
$t->stop();
my ($removed, $found) = verify('folder.verify', "kept.log $d/folder/log");
is($removed, 1, 'no folder: what was in it is missing');
like(join(' ', map { "$_->{kind}: $_->{text}" } @{$found->{findings}}), qr/removed: seal/, 'no folder: in words');
is((verify('folder.verify', 'kept.log'))[0], 0, 'no folder: what was kept is as it was');

is(intact('file.verify', 'file.log'), 0, 'the end: nothing is suspected');

###############################################################################

sub ask {
	my ($uri) = @_;
	return (status(get($uri, 'X-API-Key: key')) // 0) == 200 ? 1 : 0;
}

sub drain {
	while (sysread $pipe, my $part, 65536) {
		$taken .= $part;
	}
}

sub limit {
	my ($pid, $bytes) = @_;
	system('prlimit', "--fsize=$bytes:unlimited", '--pid', $pid) == 0 or die "prlimit fails\n";
}

# Not with $t, which would so live longer than the plan.
sub slurp {
	my ($name) = @_;
	open my $file, '<', "$d/$name" or return '';
	local $/;
	return scalar(<$file>) // '';
}

sub spew {
	my ($name, $text) = @_;
	open my $file, '>', "$d/$name" or die "Can't write $name: $!\n";
	print $file $text;
	close $file or die "Can't write $name: $!\n";
}

sub verify {
	my ($key, $file, @options) = @_;
	my $json = `$command audit verify --json --key $d/$key @options $d/$file 2>$d/errors`;
	return ($? >> 8, eval { JSON::PP->new->utf8->decode($json) });
}

sub intact {
	my ($status, $report) = verify(@_);
	diag(JSON::PP->new->pretty->encode($report // {})) if $status;
	return $status;
}

###############################################################################
