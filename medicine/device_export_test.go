package medicine

// DeviceWords is for tests of what no header may bring onto a page.
var DeviceWords = deviceWords
