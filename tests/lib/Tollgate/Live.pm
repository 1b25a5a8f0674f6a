package Tollgate::Live;

# Files that change while nginx runs, and what every worker decides by them.
#
# The configuration under test has as many workers as WORKERS, a listening socket with reuseport, a
# location /pid that returns 200 $pid, and
#
#	add_header X-Reason $tollgate_reason always;
#
# A decision is written "200 acme" (what the backend sees as the client is the body), or
# "401 revoked_credential".

use strict;
use warnings;

use Exporter qw/import/;
use List::Util qw/uniq/;
use Test::More qw//;
use Test::Nginx qw/http_content/;
use Time::HiRes qw/sleep/;
use Tollgate qw/header keys_file status/;
use Tollgate::Client;

our @EXPORT = qw/WORKERS live_in everywhere becomes stays put in_place link_to told fence/;

use constant WORKERS => 4;

# The test's directory, and a connection to each worker.
my ($dir, $connections);

# Names the directory, as no sub may refer to $t. Again after a reload, as there are new workers then.
sub live_in {
	($dir) = @_;
	$connections = connections_to_workers(WORKERS, 1);
}

###############################################################################
# Decisions

# What the workers decide of a request with this header line: one decision, or several with ", ".
sub everywhere {
	my ($uri, $line) = @_;
	my $request = request($uri, $line);
	return join ', ', sort(uniq(map {
		my $response = $connections->{$_}[0]->ask($request);
		my $status = status($response) // 0;
		"$status " . ($status == 200 ? http_content($response) : header($response, 'X-Reason') // '');
	} sort keys %$connections));
}

# One test: all workers come to decide so, and each that has does not change its mind.
sub becomes {
	my ($decision, $uri, $line, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $last;
	poll { ($last = everywhere($uri, $line)) eq $decision };
	$last = everywhere($uri, $line) if $last eq $decision;
	return Test::More::is($last, $decision, $name);
}

# One test: all workers decide so, when all have looked at the files again.
sub stays {
	my ($decision, $uri, $line, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	fence();
	return Test::More::is(everywhere($uri, $line), $decision, $name);
}

# Waits until all workers have looked at the files: until they know a key that was not there before.
# The file is fence.json, and serves the location /fence.
my $fences = 0;

sub fence {
	$fences++;
	put('fence.json', keys_file({ key => "fence-$fences", client => 'fence', tier => 'free' }));
	poll { everywhere('/fence', "X-API-Key: fence-$fences") eq '200 fence' }
		or die "A worker does not look at its files\n";
}

###############################################################################
# Files

# Replaces a file in one step.
sub put {
	my ($name, $content) = @_;
	_write("$dir/$name.new", $content);
	rename "$dir/$name.new", "$dir/$name" or die "Can't rename $name.new: $!\n";
}

# Writes into the file that is there, in pieces.
sub in_place {
	my ($name, $content) = @_;
	open my $file, '>:raw', "$dir/$name" or die "Can't open $name: $!\n";
	$file->autoflush();
	my $size = int(length($content) / 3) + 1;
	for my $piece (unpack "(a$size)*", $content) {
		print $file $piece;
		sleep 0.15;
	}
	close $file or die "Can't write $name: $!\n";
}

# As Kubernetes replaces what it mounts: NAME is a link to data/NAME, data a link to a folder, and that
# one is replaced.
my $folders = 0;

sub link_to {
	my ($name, $content) = @_;
	my $folder = 'folder-' . ++$folders;
	mkdir "$dir/$folder" or die "Can't make $folder: $!\n";
	_write("$dir/$folder/$name", $content);
	_link($folder, 'data');
	_link("data/$name", $name) unless -l "$dir/$name";
}

sub _link {
	my ($target, $name) = @_;
	symlink $target, "$dir/$name.new" or die "Can't link $name.new: $!\n";
	rename "$dir/$name.new", "$dir/$name" or die "Can't rename $name.new: $!\n";
}

sub _write {
	my ($path, $content) = @_;
	open my $file, '>:raw', $path or die "Can't create $path: $!\n";
	print $file $content;
	close $file or die "Can't write $path: $!\n";
}

###############################################################################
# The error log

# The lines of this level and higher ones, of Tollgate's, about this file, since told() was last asked
# about it. Waits for as many as $count.
my %told;

sub told {
	my ($name, $count) = @_;
	my @lines;
	poll {
		open my $log, '<', "$dir/error.log" or die "Can't open error.log: $!\n";
		@lines = grep { /\[(?:warn|error|crit|emerg)\].*tollgate/ && /\Q$name\E"/ } <$log>;
		splice @lines, 0, $told{$name} // 0;
		@lines >= ($count // 0);
	};
	$told{$name} += @lines;
	return @lines;
}

1;
